//! May a call be made? Asked over all replicas, in one round trip.
//!
//! A rate is the same as the gateway's own (GCRA, as in `governor`): a call may come when the theoretical time of arrival,
//! less the tolerance of the burst, has passed. The clock is that of the store, so that clocks of replicas need not agree.
//! The microseconds are counted from 2025 on, which leaves a number of Lua exact to a fraction of one.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::call_count::{CallCount, CountState};
use super::rate::SharedRate;
use super::script::StoreScript;
use super::store::{SharedStore, StoreAway};

/// How long calls of a replica count after its last sign of life, in milliseconds.
const LEASE: u64 = 30_000;
/// Counts that are reported in one command.
const REPORTED: usize = 256;

static ADMIT: LazyLock<StoreScript> = LazyLock::new(|| StoreScript::new(include_str!("admit.lua")));
static REPORT: LazyLock<StoreScript> = LazyLock::new(|| StoreScript::new(include_str!("report.lua")));
static REFUND: LazyLock<StoreScript> = LazyLock::new(|| StoreScript::new(include_str!("refund.lua")));

/// What one call asks for.
#[derive(Debug)]
pub struct Admission<'a> {
    /// A count, its state with this call, and how many calls all replicas may have in flight.
    pub place: Option<(&'a CallCount, CountState, usize)>,
    /// The first one that refuses leaves the later ones untouched.
    pub rates: [Option<&'a SharedRate>; 2],
}

/// What the store says to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionVerdict {
    Admitted,
    /// Too many calls are in flight.
    NoPlace,
    /// Over the rate of this place in [`Admission::rates`], which is free again after the time.
    OverRate(usize, Duration),
}

impl SharedStore {
    /// The rate of `name`: a call each `interval`, and `burst` at once. Another rate has another count.
    pub fn rate(&self, name: &str, interval: Duration, burst: u32) -> SharedRate {
        let micros = interval.as_nanos() as f64 / 1e3;
        let key = self.key("rate", &format!("{name}:{}:{burst}", interval.as_nanos()));
        SharedRate { key: key.into(), interval: micros, tolerance: micros * f64::from(burst - 1) }
    }

    /// Adds `count` up over all replicas from now on, under `name`.
    pub fn share_count(&self, count: &Arc<CallCount>, name: &str) {
        count.share(|| self.key("calls", name), &self.counts);
    }

    /// Asks for one call.
    ///
    /// # Errors
    ///
    /// [`StoreAway`]; the store may have counted the call all the same.
    pub async fn admit(&self, admission: &Admission<'_>) -> Result<AdmissionVerdict, StoreAway> {
        let Admission { place, rates } = admission;
        let place = place.as_ref().and_then(|(count, state, limit)| Some((count.key()?, state, *limit)));
        let replicas = self.key("replicas", "seen");
        let mut keys = [replicas.as_str(); 4];
        let mut used = 1;
        for key in place.iter().map(|(key, ..)| *key).chain(rates.iter().flatten().map(|rate| &*rate.key)) {
            keys[used] = key;
            used += 1;
        }
        let mut command = ADMIT.with(keys[..used].iter().copied());
        let (limit, sequence, count) =
            place.map_or((0, 0, 0), |(_, state, limit)| (limit, state.sequence, state.count));
        command.arg(&*self.replica).arg(LEASE).arg(limit).arg(sequence).arg(count);
        for rate in rates.iter().flatten() {
            command.arg(rate.interval).arg(rate.tolerance);
        }
        let (which, wait): (usize, u64) = self.evaluate(&ADMIT, &command).await?;
        Ok(match which {
            0 => AdmissionVerdict::Admitted,
            1 => AdmissionVerdict::NoPlace,
            // Rates that are not asked for have no number.
            other => {
                let place = if rates[0].is_none() { 1 } else { other - 2 };
                AdmissionVerdict::OverRate(place, Duration::from_micros(wait))
            }
        })
    }

    /// Gives back a call that was counted under `rate` and not made. Waits for nothing.
    pub fn refund(&self, rate: &Arc<SharedRate>) {
        self.counts.refund(rate);
    }

    /// A sign of life of this replica, with `counts` as they are now.
    pub(super) async fn report(&self, counts: &[Arc<CallCount>]) -> Result<(), StoreAway> {
        let replicas = self.key("replicas", "seen");
        let mut rest = counts;
        loop {
            let (now, later) = rest.split_at(rest.len().min(REPORTED));
            let keys: Vec<&str> = std::iter::once(replicas.as_str())
                .chain(now.iter().filter_map(|count| count.key()))
                .collect();
            let mut command = REPORT.with(keys.into_iter());
            command.arg(&*self.replica).arg(LEASE);
            for CountState { sequence, count } in now.iter().map(|count| count.state()) {
                command.arg(sequence).arg(count);
            }
            self.evaluate::<()>(&REPORT, &command).await?;
            if later.is_empty() {
                return Ok(());
            }
            rest = later;
        }
    }

    /// Sends what waits: changed counts, and calls to give back.
    pub(super) async fn report_changes(&self) -> Result<(), StoreAway> {
        let changed = self.counts.changed();
        if !changed.is_empty() {
            self.report(&changed).await?;
        }
        for rate in self.counts.refunds() {
            let mut command = REFUND.with(std::iter::once(&*rate.key));
            command.arg(rate.interval);
            self.evaluate::<()>(&REFUND, &command).await?;
        }
        Ok(())
    }

    /// This replica is gone, with all its calls.
    pub(super) async fn leave(&self) -> Result<(), StoreAway> {
        let mut command = redis::cmd("ZREM");
        command.arg(self.key("replicas", "seen")).arg(&*self.replica);
        self.ask::<()>(&command).await?;
        self.withdraw_status().await
    }
}
