//! Where in the sources a value stands: in a file with its line, behind a flag, or in an environment variable.

use std::path::Path;
use std::sync::Arc;

/// A point in a text; both counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub line: usize,
    pub column: usize,
}

/// Where a reader stands: a value of a file, a flag, or an environment variable.
#[derive(Debug, Clone, Default)]
pub(super) struct Location {
    pub file: Option<Arc<Path>>,
    pub position: Option<Position>,
    pub key_path: String,
}

impl Location {
    /// A file as a whole.
    pub fn file(path: &Path) -> Self {
        Self { file: Some(path.into()), position: None, key_path: String::new() }
    }

    /// A flag such as `--port`, or a variable such as `MCPO_PORT`.
    pub fn outside_files(name: &str) -> Self {
        Self { key_path: name.to_owned(), ..Self::default() }
    }

    /// The member `name` of the object here.
    pub fn member(&self, name: &str, position: Position) -> Self {
        let plain = |character: char| character.is_alphanumeric() || character == '_' || character == '-';
        let mut key_path = self.key_path.clone();
        if !key_path.is_empty() {
            key_path.push('.');
        }
        if !name.is_empty() && name.chars().all(plain) {
            key_path.push_str(name);
        } else {
            key_path.push_str(&format!("{name:?}"));
        }
        Self { file: self.file.clone(), position: Some(position), key_path }
    }

    /// The directory from which relative paths start.
    pub fn directory(&self) -> &Path {
        self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""))
    }

    /// The element `index` of the list here.
    pub fn element(&self, index: usize, position: Position) -> Self {
        let key_path = format!("{}[{index}]", self.key_path);
        Self { file: self.file.clone(), position: Some(position), key_path }
    }
}
