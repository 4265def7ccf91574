//! Makes the metrics, whose names and labels are constants.

use prometheus::IntGauge;

/// Why making a metric of ours cannot fail.
pub(super) const VALID: &str = "the names of metrics and labels are constants that Prometheus allows";

pub(super) fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect(VALID)
}
