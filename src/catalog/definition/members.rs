//! The rules for the members of each kind of definition.
//!
//! The tables follow the schema of revision 2025-11-25, and where an official SDK is stricter, that SDK: the TypeScript SDK
//! about numbers and dates of annotations, those in Rust and Go about sizes.

use serde_json::{Value, json};

/// Something that a server defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defined {
    Tool,
    Prompt,
    Resource,
    ResourceTemplate,
    /// The server itself: `serverInfo`.
    Implementation,
    /// The capabilities that the server declares.
    Capabilities,
    /// One item of the content of a result.
    ContentBlock,
    /// One item of a `resources/read` result.
    ResourceContents,
}

/// One member of an object.
#[derive(Debug)]
pub struct Rule {
    pub member: &'static str,
    pub shape: Shape,
    pub without: Without,
}

/// The treatment of an object that lacks a member, or has one that cannot be mended.
#[derive(Debug, Clone, Copy)]
pub enum Without {
    Whole,
    /// Nothing that can be used.
    Useless,
    /// The member gets the text of another one.
    CopyOf(&'static str),
    Made(fn() -> Value),
}

/// The shape that a value should have.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    Text,
    Flag,
    OneOf(&'static [&'static str], &'static str),
    /// From 0 to 1.
    Fraction,
    /// Bytes.
    Size,
    DateTime,
    Object,
    /// Values that are objects, by name.
    Objects,
    List(&'static Shape),
    Members(&'static [Rule]),
    /// The one root type that arguments and results have.
    ObjectType,
    /// Schemas by name; booleans are spelled out.
    Schemas,
    InputSchema,
    OutputSchema,
    /// An object with members of any kind, without the one name that JavaScript readers refuse ([`super::schema::NO_RECORD`]).
    Record,
}

const fn may(member: &'static str, shape: Shape) -> Rule {
    Rule { member, shape, without: Without::Whole }
}

const fn must(member: &'static str, shape: Shape, without: Without) -> Rule {
    Rule { member, shape, without }
}

pub const fn of(kind: Defined) -> &'static [Rule] {
    match kind {
        Defined::Tool => TOOL,
        Defined::Prompt => PROMPT,
        Defined::Resource => RESOURCE,
        Defined::ResourceTemplate => RESOURCE_TEMPLATE,
        Defined::Implementation => IMPLEMENTATION,
        Defined::Capabilities => CAPABILITIES,
        Defined::ContentBlock => CONTENT_BLOCK,
        Defined::ResourceContents => RESOURCE_CONTENTS,
    }
}

const TOOL: &[Rule] = &[
    must("name", Shape::Text, Without::Useless),
    may("title", Shape::Text),
    may("description", Shape::Text),
    may("icons", ICONS),
    must("inputSchema", Shape::InputSchema, Without::Made(|| json!({"type": "object", "properties": {}}))),
    may("outputSchema", Shape::OutputSchema),
    may(
        "annotations",
        Shape::Members(&[
            may("title", Shape::Text),
            may("readOnlyHint", Shape::Flag),
            may("destructiveHint", Shape::Flag),
            may("idempotentHint", Shape::Flag),
            may("openWorldHint", Shape::Flag),
        ]),
    ),
    may(
        "execution",
        Shape::Members(&[may(
            "taskSupport",
            Shape::OneOf(&["forbidden", "optional", "required"], "`forbidden`, `optional` or `required`"),
        )]),
    ),
    may("_meta", Shape::Record),
];

pub const ROOT_SCHEMA: &[Rule] = &[
    may("$schema", Shape::Text),
    must("type", Shape::ObjectType, Without::Made(|| "object".into())),
    may("properties", Shape::Schemas),
    may("required", Shape::List(&Shape::Text)),
    may("$defs", Shape::Object),
    may("definitions", Shape::Object),
];

const PROMPT: &[Rule] = &[
    must("name", Shape::Text, Without::Useless),
    may("title", Shape::Text),
    may("description", Shape::Text),
    may("icons", ICONS),
    may(
        "arguments",
        Shape::List(&Shape::Members(&[
            must("name", Shape::Text, Without::Useless),
            may("title", Shape::Text),
            may("description", Shape::Text),
            may("required", Shape::Flag),
        ])),
    ),
    may("_meta", Shape::Record),
];

const RESOURCE: &[Rule] = &[
    must("uri", Shape::Text, Without::Useless),
    must("name", Shape::Text, Without::CopyOf("uri")),
    may("title", Shape::Text),
    may("description", Shape::Text),
    may("icons", ICONS),
    may("mimeType", Shape::Text),
    may("size", Shape::Size),
    may("annotations", ANNOTATIONS),
    may("_meta", Shape::Record),
];

const RESOURCE_TEMPLATE: &[Rule] = &[
    must("uriTemplate", Shape::Text, Without::Useless),
    must("name", Shape::Text, Without::CopyOf("uriTemplate")),
    may("title", Shape::Text),
    may("description", Shape::Text),
    may("icons", ICONS),
    may("mimeType", Shape::Text),
    may("annotations", ANNOTATIONS),
    may("_meta", Shape::Record),
];

const IMPLEMENTATION: &[Rule] = &[
    must("name", Shape::Text, Without::Useless),
    must("version", Shape::Text, Without::Made(|| "".into())),
    may("title", Shape::Text),
    may("description", Shape::Text),
    may("websiteUrl", Shape::Text),
    may("icons", ICONS),
];

const CAPABILITIES: &[Rule] = &[
    may("tools", Shape::Members(&[may("listChanged", Shape::Flag)])),
    may("prompts", Shape::Members(&[may("listChanged", Shape::Flag)])),
    may("resources", Shape::Members(&[may("subscribe", Shape::Flag), may("listChanged", Shape::Flag)])),
    may("completions", Shape::Object),
    may("logging", Shape::Object),
    may("extensions", Shape::Objects),
];

/// Of all kinds together: what one kind needs, another does not have.
const CONTENT_BLOCK: &[Rule] = &[
    may("text", Shape::Text),
    may("name", Shape::Text),
    may("title", Shape::Text),
    may("description", Shape::Text),
    may("mimeType", Shape::Text),
    may("size", Shape::Size),
    may("icons", ICONS),
    may("resource", Shape::Members(RESOURCE_CONTENTS)),
    may("annotations", ANNOTATIONS),
    may("_meta", Shape::Record),
];

const RESOURCE_CONTENTS: &[Rule] = &[
    may("mimeType", Shape::Text),
    may("text", Shape::Text),
    may("blob", Shape::Text),
    may("_meta", Shape::Record),
];

const ICONS: Shape = Shape::List(&Shape::Members(&[
    must("src", Shape::Text, Without::Useless),
    may("mimeType", Shape::Text),
    may("sizes", Shape::List(&Shape::Text)),
    may("theme", Shape::OneOf(&["light", "dark"], "`light` or `dark`")),
]));

const ANNOTATIONS: Shape = Shape::Members(&[
    may("audience", Shape::List(&Shape::OneOf(&["user", "assistant"], "`user` or `assistant`"))),
    may("priority", Shape::Fraction),
    may("lastModified", Shape::DateTime),
]);
