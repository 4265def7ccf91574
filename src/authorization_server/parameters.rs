//! The parameters of a query or a form; each may stand once (RFC 6749 section 3.1).

use std::collections::HashMap;

use url::form_urlencoded;

/// Parameters by name.
#[derive(Debug, Default)]
pub struct Parameters(HashMap<String, String>);

impl Parameters {
    /// Reads a query or a form. `None` when a parameter stands twice.
    ///
    /// One without a value counts as left out.
    pub fn read(text: &[u8]) -> Option<Self> {
        let mut parameters = HashMap::new();
        for (name, value) in form_urlencoded::parse(text) {
            if !value.is_empty() && parameters.insert(name.into_owned(), value.into_owned()).is_some() {
                return None;
            }
        }
        Some(Self(parameters))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}
