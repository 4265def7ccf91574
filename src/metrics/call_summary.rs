//! A summary of the calls of one server, for people.

use std::collections::BTreeMap;

use prometheus::Histogram;
use prometheus::core::Metric as _;
use serde::Serialize;

/// Calls since the server is known to this run of the gateway.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallSummary {
    /// All calls that have ended.
    pub total: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Failed calls by outcome, with the names of `error_type`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<&'static str, u64>,
    /// The mean time of the server's answers, in milliseconds; `None` before the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_ms: Option<f64>,
    /// The 95th percentile of the answers' times, in milliseconds, estimated from a histogram.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<f64>,
}

/// The outcomes with an answer of the server, whose time is the server's.
const ANSWERS: [&str; 3] = ["ok", "tool_error", "rpc_error"];

impl CallSummary {
    /// Sums up histograms that have the same boundaries, each with the end that it counts.
    pub(super) fn of<'a>(histograms: impl Iterator<Item = (&'static str, &'a Histogram)>) -> Self {
        let mut tally = Self::default();
        let mut seconds = 0.0;
        let mut answers = 0;
        // By upper bound; cumulative, as they come.
        let mut buckets: Vec<(f64, u64)> = Vec::new();
        for (end, histogram) in histograms {
            let sample = histogram.metric();
            let sample = sample.get_histogram();
            let count = sample.get_sample_count();
            tally.total += count;
            if end != "ok" && count > 0 {
                tally.failed += count;
                *tally.failures.entry(end).or_default() += count;
            }
            if !ANSWERS.contains(&end) {
                continue;
            }
            answers += count;
            seconds += sample.get_sample_sum();
            for (index, bucket) in sample.get_bucket().iter().enumerate() {
                match buckets.get_mut(index) {
                    Some((_, sum)) => *sum += bucket.cumulative_count(),
                    None => buckets.push((bucket.upper_bound(), bucket.cumulative_count())),
                }
            }
        }
        if answers > 0 {
            tally.mean_ms = Some(milliseconds(seconds / float(answers)));
            tally.p95_ms = Some(milliseconds(quantile(0.95, answers, &buckets)));
        }
        tally
    }
}

/// As Prometheus' `histogram_quantile`: linear within the bucket that holds the rank, and the greatest finite
/// bound beyond it.
fn quantile(part: f64, count: u64, buckets: &[(f64, u64)]) -> f64 {
    let rank = part * float(count);
    let mut below = (0.0, 0.0);
    for &(bound, cumulative) in buckets.iter().filter(|(bound, _)| bound.is_finite()) {
        let here = float(cumulative);
        if here >= rank {
            return below.0 + (bound - below.0) * (rank - below.1) / (here - below.1);
        }
        below = (bound, here);
    }
    below.0
}

#[expect(clippy::cast_precision_loss, reason = "a count beyond 2^53 is shown rounded")]
fn float(count: u64) -> f64 {
    count as f64
}

/// To a hundredth: more digits would only look precise.
fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1e5).round() / 100.0
}
