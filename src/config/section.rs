//! A group of settings: one line a key gives its field, its default, its reader, what a reload does, and its text.

use super::key::{ConfigKey, Effect};
use super::layers::Layers;
use super::problem::Problems;

/// A setting of the gateway itself that differs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SettingChange {
    pub key: &'static str,
    pub effect: Effect,
}

/// Settings that are read, compared and documented by their rows.
pub(super) trait SettingGroup: Sized {
    const KEYS: &'static [ConfigKey];

    /// Takes the values out of the layers. Where one is wrong its default stands in, and the problem is noted.
    fn read(layers: &Layers, problems: &mut Problems) -> Self;

    /// The keys whose values differ from those of `new`.
    fn changes(&self, new: &Self) -> Vec<SettingChange>;

    /// Keeps the values of `running` that only a restart can change.
    fn keep_until_restart(&mut self, running: &Self);
}

/// Declares a struct of settings with its [`SettingGroup`]. A row is
/// `field: Type = default, "key" READER Effect Stability "one line of documentation";`.
/// Fields under `also` are no keys.
macro_rules! section {
    (
        $(#[$meta:meta])*
        $visibility:vis struct $name:ident {
            $($field:ident: $type:ty = $default:expr, $key:literal $reader:ident $effect:ident $stability:ident $doc:literal;)*
        }
        $(also {
            $($(#[$other_meta:meta])* $other:ident: $other_type:ty = $other_default:expr;)*
        })?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        $visibility struct $name {
            $(#[doc = $doc] pub $field: $type,)*
            $($($(#[$other_meta])* pub $other: $other_type,)*)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* $($($other: $other_default,)*)? }
            }
        }

        impl SettingGroup for $name {
            const KEYS: &'static [ConfigKey] = &[$(ConfigKey {
                name: $key,
                shape: $reader.shape,
                default: || ($reader.write)(&$default),
                effect: Effect::$effect,
                stability: Stability::$stability,
                spelling_of: None,
                doc: $doc,
            },)*];

            fn read(layers: &Layers, problems: &mut Problems) -> Self {
                Self {
                    $($field: ($reader.read)(layers, $key, problems).unwrap_or_else(|| $default),)*
                    $($($other: $other_default,)*)?
                }
            }

            fn changes(&self, new: &Self) -> Vec<SettingChange> {
                let mut changes = Vec::new();
                $(if self.$field != new.$field {
                    changes.push(SettingChange { key: $key, effect: Effect::$effect });
                })*
                changes
            }

            fn keep_until_restart(&mut self, running: &Self) {
                $(if Effect::$effect == Effect::Restart {
                    self.$field.clone_from(&running.$field);
                })*
            }
        }
    };
}
pub(super) use section;
