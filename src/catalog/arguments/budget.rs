//! Every bound on what one tool's schema and one call's arguments may cost, and its reason.
//!
//! Schemas are written by servers and arguments by callers, so that either can be made to cost ever more. Nothing here
//! is bounded by time: a computation counts its own steps ([`super::metered`]) or is refused by what it would cost
//! before it begins. A tool that would go over is called without local validation, as its server would be without a
//! gateway, and the log and the metrics say so once.
//!
//! A step is a look at a value, some ten nanoseconds; what a look leads to besides (a regular expression, a
//! comparison, an error) is charged with it.

/// Steps of one check on a thread that serves requests: a few hundred microseconds. Ordinary calls take some hundred.
pub const AT_ONCE: u64 = 50_000;
/// Steps of one check on a thread for long computations: a fifth of a second. Another caller's check may wait for as long.
pub const APART: u64 = 20_000_000;
/// Steps for collecting all errors of arguments, or of a schema's defaults.
pub const EXPLAINING: u64 = 5_000_000;
/// Values in arguments whose faults are explained.
pub const EXPLAINED_VALUES: usize = 20_000;
/// Text in the messages of one refusal, in bytes; the fault that passes it is the last.
pub const EXPLANATION_BYTES: usize = 64 << 10;
/// Memory of arguments that are read into a tree, in bytes. Long computations are few at one time, and so are trees.
pub const TREE_BYTES: usize = 32 << 20;
/// Memory of a tree that is read out of a text in arguments, for each step, in bytes.
pub const TREE_BYTES_A_STEP: u64 = 4;
/// Lists and objects inside one another, those in texts that are read included; what the parser takes.
pub const DEEPEST: usize = 127;
/// Stack that one check may take, in bytes, of the two megabytes that a thread has.
pub const STACK_BYTES: usize = 1 << 20;

/// Nodes of a schema after every reference is written out. References let n lines mean 2^n checks of one value; large
/// real schemas stay under a tenth of this.
pub const NODES: u64 = 200_000;
/// Holds inside one another, every reference written out.
pub const NESTING: u64 = 256;
/// Size of all regular expressions of a schema together.
///
/// It is that of [`super::pattern::Weight`]; compiling takes about ten microseconds a unit.
pub const PATTERNS: u64 = 50_000;
/// Memory of one compiled regular expression, and of its cache at run time, in bytes.
pub const PATTERN_BYTES: usize = 1 << 20;
/// Steps back that one regular expression with look-around or back references may take.
pub const PATTERN_STEPS: u64 = 10_000;

/// Why a tool is called without local validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// The schema is not valid in its own draft, or refers to something outside itself.
    Unusable,
    /// [`NODES`] or [`NESTING`].
    Schema,
    /// [`PATTERNS`].
    Patterns,
    /// [`EXPLAINING`], spent on the defaults of the schema.
    Defaults,
    /// [`APART`], spent on one call's arguments.
    Steps,
    /// [`TREE_BYTES`].
    Memory,
}

impl Limit {
    /// All of them, in the order of [`Limit::index`].
    pub const ALL: [Self; 6] =
        [Self::Unusable, Self::Schema, Self::Patterns, Self::Defaults, Self::Steps, Self::Memory];

    /// Its place in [`Limit::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The stable name, for metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unusable => "unusable_schema",
            Self::Schema => "schema_size",
            Self::Patterns => "schema_patterns",
            Self::Defaults => "schema_defaults",
            Self::Steps => "arguments_steps",
            Self::Memory => "arguments_memory",
        }
    }

    /// The reason, for the log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unusable => {
                "its input schema is not valid in its own draft, or refers to something outside itself"
            }
            Self::Schema => "its input schema is too large or too deep with every reference written out",
            Self::Patterns => "the regular expressions of its input schema are too large together",
            Self::Defaults => "checking the defaults in its input schema takes too many steps",
            Self::Steps => "checking arguments against its input schema takes too many steps",
            Self::Memory => "the arguments would take too much memory when they are read",
        }
    }
}
