//! Figures of the use of ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sluice_core::ports::{Limited, Sample};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct EipLabels {
    eip: String,
    family: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct SnatLabels {
    snat: String,
    eip: String,
    family: &'static str,
}

/// Figures of the use of ports; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Ports {
    available: Gauge,
    used: Family<EipLabels, Gauge>,
    refused: Family<SnatLabels, Counter>,
    shown: Arc<Mutex<BTreeSet<EipLabels>>>,
}

impl Ports {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "ports_available",
            "Ports of an EIP that connections to one destination and port share",
            self.available.clone(),
        );
        registry.register(
            "ports_used",
            "Ports in use to the destination and port that has most, by EIP; absent: less than a hundredth, or not looked at for there are too few connections in all",
            self.used.clone(),
        );
        registry.register(
            "snat_refused",
            "Connections (attempts, repeated ones too) refused because their source holds spec.portsPerSource of them, by UID of the SNAT and EIP",
            self.refused.clone(),
        );
    }

    pub(super) fn take(&self, sample: &Sample) {
        self.available.set(sample.available.into());
        let busiest: BTreeMap<EipLabels, u32> = sample
            .busiest()
            .into_iter()
            .map(|(eip, (_, used))| (eip_labels(eip), used))
            .collect();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for labels in shown.iter().filter(|eip| !busiest.contains_key(*eip)) {
            self.used.remove(labels);
        }
        *shown = busiest.keys().cloned().collect();
        for (labels, used) in busiest {
            self.used.get_or_create(&labels).set(used.into());
        }
        for (limited, count) in &sample.refused {
            self.refused
                .get_or_create(&snat_labels(limited))
                .inc_by(*count);
        }
    }
}

fn eip_labels(eip: IpAddr) -> EipLabels {
    EipLabels {
        eip: eip.to_string(),
        family: family(eip),
    }
}

fn snat_labels(limited: &Limited) -> SnatLabels {
    SnatLabels {
        snat: limited.snat.to_string(),
        eip: limited.eip.to_string(),
        family: family(limited.eip),
    }
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ipv4" } else { "ipv6" }
}
