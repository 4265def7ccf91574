// JSON Schema for people: a table of arguments, examples, and the fields of a form. All pure but `field`.
//
// Schemas come from servers: anything may stand anywhere, references may run in circles, and none of it may
// break the page. What is not understood is shown as `any` and typed as JSON.

import { element } from "./elements.js";

const DEEPEST = 4;
const MOST_ROWS = 200;

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** The schema that is meant: local references followed, and single-member unions opened. */
export function resolve(schema, root, hops = 0) {
  if (!isObject(schema) || hops > 8) return isObject(schema) ? schema : {};
  if (typeof schema.$ref === "string") {
    if (!schema.$ref.startsWith("#")) return schema;
    let target = root;
    for (const part of schema.$ref.slice(1).split("/").filter(Boolean)) {
      let name = part;
      try {
        name = decodeURIComponent(part);
      } catch {
        // The name is meant as it stands.
      }
      name = name.replaceAll("~1", "/").replaceAll("~0", "~");
      target = (isObject(target) || Array.isArray(target)) && Object.hasOwn(target, name) ? target[name] : undefined;
    }
    const { $ref: _, ...beside } = schema;
    return { ...resolve(target, root, hops + 1), ...beside };
  }
  for (const union of ["anyOf", "oneOf", "allOf"]) {
    const members = Array.isArray(schema[union]) ? schema[union].filter((member) => resolve(member, root, hops + 1).type !== "null") : [];
    if (members.length !== 1 || schema.type) continue;
    const { [union]: all, ...beside } = schema;
    const only = resolve(members[0], root, hops + 1);
    return { ...only, ...beside, nullable: all.length > members.length || only.nullable };
  }
  return schema;
}

function types(schema) {
  const named = [schema.type].flat().filter((type) => typeof type === "string");
  return { named: named.filter((type) => type !== "null"), nullable: named.includes("null") || schema.nullable === true };
}

/** A type in words: `string`, `list of integer`, `string or null`. */
export function typeWords(raw, root, depth = 0) {
  const schema = resolve(raw, root);
  if (raw === true || depth > DEEPEST) return "any";
  const { named, nullable } = types(schema);
  const words = named.map((type) => {
    if (type !== "array") return type;
    return schema.items ? `list of ${typeWords(schema.items, root, depth + 1)}` : "list";
  });
  if (!words.length) {
    const union = [schema.anyOf, schema.oneOf].find(Array.isArray);
    if (union) words.push(...new Set(union.map((member) => typeWords(member, root, depth + 1))));
    else if (isObject(schema.properties)) words.push("object");
    else if (Array.isArray(schema.enum)) words.push(...new Set(schema.enum.map((value) => (value === null ? "null" : typeof value))));
    else words.push("any");
  }
  if (nullable && !words.includes("null")) words.push("null");
  return words.join(" or ");
}

/** The limits that a schema sets, in words. */
function limits(schema) {
  const words = [];
  const range = (low, high, unit) => {
    if (low != null && high != null) words.push(low === high ? `${low} ${unit}` : `${low} to ${high} ${unit}`);
    else if (low != null) words.push(`at least ${low} ${unit}`);
    else if (high != null) words.push(`at most ${high} ${unit}`);
  };
  range(schema.minimum, schema.maximum, "");
  if (schema.exclusiveMinimum != null) words.push(`above ${schema.exclusiveMinimum}`);
  if (schema.exclusiveMaximum != null) words.push(`below ${schema.exclusiveMaximum}`);
  range(schema.minLength, schema.maxLength, "characters");
  range(schema.minItems, schema.maxItems, "items");
  if (typeof schema.format === "string") words.push(`format ${schema.format}`);
  if (typeof schema.pattern === "string") words.push(`pattern ${schema.pattern}`);
  return words.map((text) => text.trim());
}

/** The rows of a table of arguments: those of objects and lists of objects follow theirs, as `filter.tag`. */
export function rows(schema) {
  const found = [];
  const walk = (raw, prefix, depth) => {
    const here = resolve(raw, schema);
    const required = Array.isArray(here.required) ? here.required : [];
    for (const [name, inner] of Object.entries(isObject(here.properties) ? here.properties : {})) {
      if (found.length >= MOST_ROWS) return;
      const meant = resolve(inner, schema);
      const choices = Array.isArray(meant.enum) ? meant.enum : "const" in meant ? [meant.const] : [];
      found.push({
        name: prefix + name,
        depth,
        type: typeWords(inner, schema),
        required: required.includes(name),
        meaning: meaning(name, meant),
        limits: limits(meant),
        choices: choices.map((value) => JSON.stringify(value)),
        standard: "default" in meant ? JSON.stringify(meant.default) : null,
      });
      if (depth + 1 >= DEEPEST) continue;
      if (isObject(meant.properties)) walk(meant, `${prefix}${name}.`, depth + 1);
      const item = resolve(meant.items, schema);
      if (isObject(item.properties)) walk(item, `${prefix}${name}[].`, depth + 1);
    }
  };
  walk(schema, "", 0);
  return found;
}

/** A description, or a title that says more than the name does. */
function meaning(name, { description, title }) {
  if (typeof description === "string" && description) return description;
  const bare = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
  return typeof title === "string" && bare(title) !== bare(name) ? title : "";
}

/** What a description gives as an example: `(e.g. 'Europe/Paris')`. */
function exampleOf(schema) {
  if (Array.isArray(schema.examples) && schema.examples.length) return schema.examples[0];
  const named = typeof schema.description === "string" && /(?:e\.g\.|for example|example:)[,:]?\s*['"`“]([^'"`”]{1,80})['"`”]/i.exec(schema.description);
  return named ? named[1] : undefined;
}

/** A value that the schema may take: its default or an example where it has one. */
export function example(raw, root, depth = 0) {
  const schema = resolve(raw, root);
  if ("const" in schema) return schema.const;
  if ("default" in schema && schema.default !== null) return schema.default;
  if (Array.isArray(schema.enum) && schema.enum.length) return schema.enum[0];
  const given = exampleOf(schema);
  const type = types(schema).named[0] ?? (isObject(schema.properties) ? "object" : undefined);
  switch (type) {
    case "integer":
    case "number":
      return typeof given === "number" ? given : (schema.minimum ?? (schema.exclusiveMinimum != null ? schema.exclusiveMinimum + 1 : Math.min(1, schema.maximum ?? 1)));
    case "boolean":
      return true;
    case "array":
      return Array.isArray(given) ? given : (schema.minItems ?? 0) > 0 && depth < DEEPEST ? [example(schema.items, root, depth + 1)] : [];
    case "object":
      return isObject(given) ? given : depth < DEEPEST ? exampleArguments(schema, root, depth + 1) : {};
    default:
      return given ?? "text";
  }
}

/** The smallest arguments that a tool takes. */
export function exampleArguments(schema, root = schema, depth = 0) {
  const here = resolve(schema, root);
  const required = (Array.isArray(here.required) ? here.required : []).filter((name) => typeof name === "string");
  const value = (name) => example(isObject(here.properties) && Object.hasOwn(here.properties, name) ? here.properties[name] : {}, root, depth);
  return Object.fromEntries(required.map((name) => [name, value(name)]));
}

const LONG_TEXT = /text|content|body|code|query|sql|cypher|message|prompt|markdown|html|script|description/i;

/**
 * A form's field for one argument: `label`, `control`, and `read()`, which gives undefined for what was left
 * empty and throws a sentence for what cannot be sent.
 */
export function field(id, name, raw, root, required) {
  const schema = resolve(raw, root);
  const { named } = types(schema);
  const type = named.length === 1 ? named[0] : undefined;
  const hint = "default" in schema ? `default: ${JSON.stringify(schema.default)}` : undefined;
  const shared = { id, name, required, placeholder: hint ?? plainExample(schema) };
  const label = element("label", { for: id }, name, required ? element("span", { class: "required" }, "required") : null);
  const made = (control, read) => ({ name, label, control, read: () => (control.value === "" ? undefined : read(control.value)) });

  const choices = Array.isArray(schema.enum) ? schema.enum : type === "boolean" ? [true, false] : null;
  if (choices) {
    const options = choices.map((value, index) => element("option", { value: index }, typeof value === "string" ? value : JSON.stringify(value)));
    const empty = element("option", { value: "" }, required ? "Choose…" : (hint ?? "Not set"));
    return made(element("select", { id, name, required }, empty, options), (index) => choices[Number(index)]);
  }
  if ((type === "integer" || type === "number") && !schema.anyOf) {
    const control = element("input", { ...shared, type: "text", inputmode: type === "integer" ? "numeric" : "decimal", autocomplete: "off" });
    return made(control, (text) => {
      const value = Number(text);
      if (!Number.isFinite(value) || (type === "integer" && !Number.isInteger(value))) throw new Error(`${name} must be ${type === "integer" ? "a whole number" : "a number"}`);
      return value;
    });
  }
  if (type === "string") {
    const long = LONG_TEXT.test(name) || schema.maxLength > 300 || schema.format === "textarea";
    const control = long ? element("textarea", { ...shared, rows: 3, spellcheck: "false" }) : element("input", { ...shared, type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "none" });
    return made(control, (text) => text);
  }
  const shape = type === "array" ? "[ ]" : type === "object" ? "{ }" : "JSON, or plain text";
  const control = element("textarea", { ...shared, rows: 2, class: "code", spellcheck: "false", placeholder: hint ?? shape });
  const allowsText = named.includes("string") || (!named.length && !isObject(schema.properties));
  return made(control, (text) => {
    try {
      return JSON.parse(text);
    } catch {
      if (allowsText && !/^\s*[[{]/.test(text)) return text;
      throw new Error(`${name} must be JSON`);
    }
  });
}

function plainExample(schema) {
  const given = exampleOf(schema);
  return given === undefined ? undefined : `such as ${typeof given === "string" ? given : JSON.stringify(given)}`;
}
