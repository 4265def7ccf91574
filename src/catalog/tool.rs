//! One tool of one server, with its names on the surfaces.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use super::arguments::{ArgumentChecker, ArgumentError, Checked};
use super::definition::Mended;
use super::progress::ProgressHabit;
use crate::compute::{self, Owner};
use crate::metrics::CallMeter;
use crate::upstream::Definition;
use crate::upstream::tools::header_params::HeaderParam;

/// A tool as its server defined it, and as we expose it.
#[derive(Debug)]
pub struct CatalogTool {
    /// The name that the server knows.
    pub name: Arc<str>,
    /// The name that MCP lists show for this server: the operator's, or the server's own.
    pub listed_name: Arc<str>,
    /// The path segment before percent-encoding: the listed name, or a reserved name with a `_`.
    pub exposed_name: Arc<str>,
    /// The definition with the operator's overrides.
    pub definition: Arc<Map<String, Value>>,
    /// The definition as the server sent it (`name`, `title`, `description`, `inputSchema`, ...).
    pub own: Definition,
    /// The definition as clients get it, where that is not `definition`.
    pub mended: Option<Arc<Mended>>,
    /// The server's claim, or the operator's `readOnlyTools`.
    pub read_only: bool,
    /// The compiled input schema: made at the first call, since most tools are never called.
    pub checker: OnceCell<Arc<ArgumentChecker>>,
    /// The arguments that are said in headers, too.
    pub header_params: Arc<[HeaderParam]>,
    /// Whether its calls ask for progress.
    pub progress: ProgressHabit,
    /// The counters of its calls: looked up at the first call.
    pub meter: OnceLock<CallMeter>,
}

impl CatalogTool {
    /// Checks arguments against the tool's schema, which is compiled at the first check.
    ///
    /// Long checks are computed for `owner`.
    ///
    /// # Errors
    ///
    /// As [`ArgumentChecker::check`].
    pub async fn check(&self, owner: Owner<'_>, arguments: Bytes) -> Result<Checked, ArgumentError> {
        let checker = self.checker(owner).await;
        if let Some(checked) = checker.check_at_once(arguments.clone())? {
            return Ok(checked);
        }
        let checker = checker.clone();
        compute::run(owner, move || checker.check(arguments)).await
    }

    /// As [`ArgumentChecker::read_texts`], for arguments that are not to be held to the schema.
    pub async fn read_texts(&self, owner: Owner<'_>, arguments: Bytes) -> Bytes {
        // A string that begins with a bracket; of others the schema need not be known.
        let mut brackets = memchr::memchr2_iter(b'[', b'{', &arguments);
        if !brackets.any(|place| place > 0 && arguments[place - 1] == b'"') {
            return arguments;
        }
        self.checker(owner).await.read_texts(&arguments).unwrap_or(arguments)
    }

    async fn checker(&self, owner: Owner<'_>) -> &Arc<ArgumentChecker> {
        match self.checker.get() {
            Some(checker) => checker,
            None => self.checker.get_or_init(|| self.compile(owner)).await,
        }
    }

    async fn compile(&self, owner: Owner<'_>) -> Arc<ArgumentChecker> {
        let (definition, mended) = (self.definition.clone(), self.mended.clone());
        let compile = move || {
            let listed = mended.as_ref().map_or(&*definition, |mended| &mended.definition);
            Arc::new(ArgumentChecker::compile(input_schema(listed)))
        };
        compute::run(owner, compile).await
    }

    /// Whether `other` is the same tool under the same names.
    pub fn is_as(&self, other: &Self) -> bool {
        // One that the operator says something else of is made anew from the same definition.
        let is_defined_as = Arc::ptr_eq(&self.definition, &other.definition)
            || !Arc::ptr_eq(&self.definition, &self.own) && self.definition == other.definition;
        Arc::ptr_eq(&self.own, &other.own)
            && is_defined_as
            && (&self.listed_name, &self.exposed_name) == (&other.listed_name, &other.exposed_name)
            && self.read_only == other.read_only
    }

    /// Whether the server claims that a call may be repeated without harm.
    pub fn is_idempotent(&self) -> bool {
        self.read_only || hint(&self.definition, "idempotentHint")
    }

    /// `inputSchema` as lists show it, and as arguments are held to it.
    pub fn input_schema(&self) -> Option<&Map<String, Value>> {
        input_schema(self.listed())
    }

    /// The definition as lists show it.
    pub fn listed(&self) -> &Map<String, Value> {
        self.mended.as_ref().map_or(&self.definition, |mended| &mended.definition)
    }

    pub fn output_schema(&self) -> Option<&Map<String, Value>> {
        self.definition.get("outputSchema")?.as_object()
    }

    /// The description; `None` when missing or empty.
    pub fn description(&self) -> Option<&str> {
        self.definition.get("description")?.as_str().filter(|text| !text.is_empty())
    }

    /// `title`, or `annotations.title`.
    pub fn title(&self) -> Option<&str> {
        let own = self.definition.get("title").and_then(Value::as_str);
        own.or_else(|| self.annotation("title")?.as_str()).filter(|text| !text.is_empty())
    }

    /// One value of `annotations`.
    pub fn annotation(&self, key: &str) -> Option<&Value> {
        self.definition.get("annotations")?.get(key)
    }
}

fn input_schema(definition: &Map<String, Value>) -> Option<&Map<String, Value>> {
    definition.get("inputSchema")?.as_object()
}

/// A hint of `annotations`: the server's claim, false when it claims nothing.
pub fn hint(definition: &Definition, key: &str) -> bool {
    definition.get("annotations").and_then(|hints| hints.get(key)).and_then(Value::as_bool).unwrap_or(false)
}
