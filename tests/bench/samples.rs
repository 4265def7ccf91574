//! Latencies of one measurement and the JSON object that every measuring program here prints.
//!
//! Included by path into the programs of `tests/bench/`; times go in as [`Duration`] and come out as
//! microseconds.

use std::time::Duration;

use serde_json::{Value, json};

/// What one measurement saw: the latency of every good call, and how many calls were not good.
#[derive(Debug, Default)]
pub struct Samples {
    nanoseconds: Vec<u64>,
    errors: u64,
    first_error: Option<String>,
}

impl Samples {
    /// Records a call that was answered as expected.
    pub fn good(&mut self, latency: Duration) {
        self.nanoseconds.push(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Records a call that failed or was answered with something else; the first one is kept as text.
    pub fn bad(&mut self, error: impl std::fmt::Display) {
        self.errors += 1;
        if self.first_error.is_none() {
            self.first_error = Some(error.to_string().chars().take(300).collect());
        }
    }

    /// The result of all connections together: calls, errors, calls per second, and the latency's quantiles
    /// in microseconds.
    pub fn report(parts: impl IntoIterator<Item = Self>, elapsed: Duration) -> Value {
        let mut all = Self::default();
        for part in parts {
            all.nanoseconds.extend(part.nanoseconds);
            all.errors += part.errors;
            all.first_error = all.first_error.or(part.first_error);
        }
        all.finish(elapsed)
    }

    fn finish(mut self, elapsed: Duration) -> Value {
        self.nanoseconds.sort_unstable();
        json!({
            "calls": self.nanoseconds.len(),
            "errors": self.errors,
            "first_error": self.first_error,
            "seconds": elapsed.as_secs_f64(),
            "rate": rounded(self.nanoseconds.len() as f64 / elapsed.as_secs_f64()),
            "p50_us": self.quantile(0.50),
            "p99_us": self.quantile(0.99),
            "max_us": self.quantile(1.0),
        })
    }

    fn quantile(&self, share: f64) -> Option<f64> {
        let last = self.nanoseconds.len().checked_sub(1)?;
        let index = (last as f64 * share).round() as usize;
        Some(rounded(self.nanoseconds[index] as f64 / 1_000.0))
    }
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
