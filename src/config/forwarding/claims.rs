//! Headers that the gateway writes from the claims of a user: `"X-User": "${user.email}"`.

use serde_json::{Map, Value};

use crate::json::{claim, claim_text};

/// A text in which `${user.CLAIM}` stands for a claim of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimText(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Claim(Box<str>),
}

impl ClaimText {
    /// `None` for a text without a claim, or with anything else in `${...}`.
    pub fn parse(text: &str) -> Option<Self> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((literal, behind)) = rest.split_once("${") {
            let (name, behind) = behind.split_once('}')?;
            parts.push(Part::Literal(literal.into()));
            parts.push(Part::Claim(name.strip_prefix("user.").filter(|name| !name.is_empty())?.into()));
            rest = behind;
        }
        if parts.is_empty() {
            return None;
        }
        parts.push(Part::Literal(rest.into()));
        Some(Self(parts))
    }

    /// The text for the user with these `claims`; `None` when one that it names is missing.
    pub fn of(&self, claims: &Map<String, Value>) -> Option<String> {
        let parts = self.0.iter().map(|part| match part {
            Part::Literal(text) => Some(text.to_string()),
            Part::Claim(name) => claim_text(claim(claims, name)?),
        });
        parts.collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_stand_where_they_are_named_and_none_may_be_missing() {
        let claims = json!({ "email": "a@b.test", "groups": ["x", "y"], "realm": { "id": 3 } });
        let of = |text: &str| ClaimText::parse(text)?.of(claims.as_object()?);
        assert_eq!(of("${user.email}").as_deref(), Some("a@b.test"));
        assert_eq!(of("r${user.realm.id}: ${user.groups}!").as_deref(), Some("r3: x,y!"));
        assert_eq!((of("${user.none}"), of("${user.realm}")), (None, None));
        for text in ["", "fixed", "${env:A}", "${user.}", "${user.email"] {
            assert_eq!(ClaimText::parse(text), None, "{text}");
        }
    }
}
