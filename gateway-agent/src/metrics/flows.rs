//! Figures of the log of flows.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Labels = Vec<(&'static str, &'static str)>;

/// Figures of the log of flows; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Flows {
    on: Gauge,
    written: Counter,
    lost: Family<Labels, Counter>,
}

impl Flows {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "flow_log_on",
            "1 while translations are logged",
            self.on.clone(),
        );
        registry.register(
            "flow_log_lines",
            "Lines of the log of flows that were written",
            self.written.clone(),
        );
        registry.register(
            "flow_log_lost",
            "What is missing from the log of flows, by who dropped it: kernel (events) or buffer (lines)",
            self.lost.clone(),
        );
    }

    pub(super) fn on(&self, on: bool) {
        self.on.set(on.into());
    }

    pub(super) fn lines(&self, written: u64, lost: u64) {
        self.written.inc_by(written);
        if lost > 0 {
            self.lost
                .get_or_create(&vec![("by", "buffer")])
                .inc_by(lost);
        }
    }

    pub(super) fn overrun(&self, lost: u64) {
        self.lost
            .get_or_create(&vec![("by", "kernel")])
            .inc_by(lost);
    }
}
