//! Arguments as the validator sees them: each look at a value takes steps, and a validator without steps is stopped.
//!
//! The validator counts no steps of its own, and no time-out could end it. So it is given values that count how often it
//! looks at them, and that unwind it when it has looked too often, or when its recursion has taken too much stack. That
//! holds for every computation of the validator, now and in its next version: nothing here knows a keyword.

mod meter;
mod values;

pub use meter::{Charges, OutOfSteps, Steps, TextCharge, spend};
pub use values::{Metered, MeteredJson};
