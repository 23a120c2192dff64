//! The thread that looks at the use of ports.

use std::time::{Duration, Instant};

use sluice_core::agent::Millis;
use sluice_core::ports::{Sample, Shortages};
use sluice_crds::internal::Shortage;
use tokio::sync::mpsc;

use super::{DataPlane, FromKernel};
use crate::metrics::Metrics;

/// The use of ports is looked at this often, and so many times less often than a look takes.
const SAMPLE: Duration = Duration::from_secs(10);
const SAMPLE_SHARE: u32 = 20;

/// Looks at the use of ports.
pub trait Usage: Send {
    /// Looks; `None` where nothing was applied yet.
    ///
    /// # Errors
    /// In the kernel's words.
    fn sample(&mut self) -> Result<Option<Sample>, String>;
}

/// Looks at the use of ports now and then.
pub fn look<P: DataPlane>(
    plane: &mut P,
    tell: &mpsc::UnboundedSender<FromKernel>,
    metrics: &Metrics,
) {
    let (tell, metrics) = (tell.clone(), metrics.clone());
    let spawned = plane.usage().and_then(|usage| {
        let Some(mut usage) = usage else {
            return Ok(());
        };
        let spawned = std::thread::Builder::new()
            .name("ports".to_owned())
            .spawn(move || sample(&mut *usage, &tell, &metrics));
        spawned.map(|_| ()).map_err(|error| error.to_string())
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "the use of ports cannot be looked at");
    }
}

fn sample(usage: &mut dyn Usage, tell: &mpsc::UnboundedSender<FromKernel>, metrics: &Metrics) {
    let began = Instant::now();
    let mut shortages = Shortages::default();
    let mut told: Option<Vec<Shortage>> = None;
    while !tell.is_closed() {
        let begun = Instant::now();
        match usage.sample() {
            Ok(Some(sample)) => {
                metrics.ports(&sample);
                let since = began.elapsed().as_millis();
                let now = Millis(u64::try_from(since).unwrap_or(u64::MAX));
                let short = shortages.take(now, &sample);
                if told.as_ref() != Some(&short) {
                    log_shortages(told.as_deref().unwrap_or_default(), &short);
                    told = Some(short.clone());
                    // The loop's condition sees that nobody listens any more.
                    let _ = tell.send(FromKernel::Shortages(short));
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the use of ports could not be looked at"),
        }
        std::thread::sleep(SAMPLE.max(begun.elapsed() * SAMPLE_SHARE));
    }
}

/// A line for each that came or went.
fn log_shortages(before: &[Shortage], now: &[Shortage]) {
    for short in now.iter().filter(|short| !before.contains(short)) {
        let Shortage { reason, rule, .. } = short;
        tracing::warn!(
            reason,
            snat = rule,
            eip = short.address,
            "{}",
            short.message
        );
    }
    for short in before.iter().filter(|short| !now.contains(short)) {
        let Shortage { reason, rule, .. } = short;
        tracing::info!(
            reason,
            snat = rule,
            eip = short.address,
            "no shortage any more"
        );
    }
}
