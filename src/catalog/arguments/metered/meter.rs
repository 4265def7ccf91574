//! The meter of one thread: its steps, the cost of a look, and the depth of its stack.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::catalog::arguments::budget;

/// The charge of a look at a value beyond a step, with one schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Charges {
    /// For each value that is gone down to: subschemas that look at nothing.
    pub child: u64,
    /// For each name of a member: the regular expressions that names are matched against.
    pub name: TextCharge,
    /// For each look at a text: the costliest regular expression that texts are matched against.
    pub text: TextCharge,
    /// For each error: the path to the value at fault.
    pub path: u64,
}

/// The charge of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextCharge {
    /// However short it is.
    pub each: u64,
    /// For each byte.
    pub byte: u64,
}

/// Steps that are left for one computation.
#[derive(Debug)]
pub struct Steps(pub u64);

/// The steps are spent, or the stack is: there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfSteps;

impl Steps {
    /// Runs `work` with at most `most` of the steps, and takes off what it took.
    ///
    /// # Errors
    ///
    /// When `work` would take more; it was stopped.
    pub fn run<T>(&mut self, most: u64, charges: Charges, work: impl FnOnce() -> T) -> Result<T, OutOfSteps> {
        let allowed = self.0.min(most);
        let (result, left) = METER.with(|meter| {
            let (stack, depth) =
                (meter.stack.replace(stack_address()), meter.depth.replace(budget::STACK_BYTES));
            let (left, outer) = (meter.left.replace(allowed), meter.charges.replace(charges));
            let result = catch_unwind(AssertUnwindSafe(work));
            meter.charges.set(outer);
            meter.stack.set(stack);
            meter.depth.set(depth);
            (result, meter.left.replace(left))
        });
        self.0 -= allowed - left;
        result.map_err(exceeded)
    }
}

fn exceeded(panic: Box<dyn Any + Send>) -> OutOfSteps {
    match panic.downcast::<OutOfSteps>() {
        Ok(exceeded) => *exceeded,
        Err(panic) => resume_unwind(panic),
    }
}

/// The steps and the stack that the work of this thread may still take.
pub(super) struct Meter {
    left: Cell<u64>,
    /// Where the stack was when the work began, and how far it may grow.
    stack: Cell<usize>,
    depth: Cell<usize>,
    pub charges: Cell<Charges>,
}

thread_local! {
    pub(super) static METER: Meter = const { Meter {
        left: Cell::new(u64::MAX),
        stack: Cell::new(0),
        depth: Cell::new(usize::MAX),
        charges: Cell::new(Charges {
            child: 0,
            name: TextCharge { each: 0, byte: 0 },
            text: TextCharge { each: 0, byte: 0 },
            path: 0,
        }),
    } };
}

impl Meter {
    pub fn spend(&self, steps: u64) {
        match self.left.get().checked_sub(steps) {
            Some(left) if self.stack.get().abs_diff(stack_address()) <= self.depth.get() => {
                self.left.set(left)
            }
            _ => stop(),
        }
    }
}

/// Counts `steps` of the work at hand.
///
/// # Panics
///
/// When there are not so many left, up to [`Steps::run`], silently.
pub fn spend(steps: u64) {
    METER.with(|meter| meter.spend(steps));
}

#[cold]
fn stop() -> ! {
    // No panic: the hook that writes one to the log is not called.
    resume_unwind(Box::new(OutOfSteps))
}

/// About where the stack is; the address is compared, never followed.
#[inline]
fn stack_address() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(&here).addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(steps: u64, work: impl FnOnce() -> T) -> (Result<T, OutOfSteps>, u64) {
        let mut left = Steps(steps);
        (left.run(u64::MAX, Charges::default(), work), left.0)
    }

    #[test]
    fn work_is_stopped_when_its_steps_are_spent_and_what_it_took_is_taken_off() {
        assert_eq!(run(10, || spend(10)), (Ok(()), 0));
        assert_eq!(run(10, || spend(4)), (Ok(()), 6));
        assert_eq!(run(10, || (0..9).for_each(|_| spend(3))), (Err(OutOfSteps), 1));
        // Nothing is counted beside it.
        spend(1 << 40);
    }

    #[test]
    fn work_whose_recursion_takes_too_much_stack_is_stopped() {
        fn deeper(levels: usize) -> usize {
            spend(1);
            match levels {
                0 => 0,
                _ => std::hint::black_box(deeper(std::hint::black_box(levels - 1))) + 1,
            }
        }
        assert_eq!(run(u64::MAX, || deeper(100)).0, Ok(100));
        assert_eq!(run(u64::MAX, || deeper(usize::MAX)).0, Err(OutOfSteps));
    }

    #[test]
    fn a_panic_of_the_work_stays_one() {
        let panicking = || run(10, || panic!("on purpose"));
        assert!(catch_unwind(panicking).unwrap_err().is::<&str>());
    }
}
