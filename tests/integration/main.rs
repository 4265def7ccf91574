//! The gateway from outside: one file per behaviour.

mod check;
mod edge;
