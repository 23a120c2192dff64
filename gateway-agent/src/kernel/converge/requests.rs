//! Adding and removing: what is so already is no error.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Network, system};
use crate::kernel::report::KernelError;
use crate::kernel::rtnl::Request;

/// `EEXIST`, `ENOENT`, `ESRCH`, `EADDRNOTAVAIL` (`asm-generic/errno-base.h`, `errno.h`).
const EEXIST: i32 = 17;
const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EADDRNOTAVAIL: i32 = 99;

impl Network {
    pub(super) fn put(&mut self, request: Request, object: &str) -> Result<usize, KernelError> {
        match self.rtnl.send_one(request) {
            Ok(()) => Ok(1),
            Err(error) if error.raw_os_error() == Some(EEXIST) => Ok(0),
            Err(source) => Err(KernelError::Refused {
                object: object.to_owned(),
                source,
            }),
        }
    }

    pub(super) fn put_each(
        &mut self,
        requests: &[Request],
        about: impl Iterator<Item = IpAddr>,
        refused: &mut BTreeMap<IpAddr, String>,
    ) -> Result<usize, KernelError> {
        let answers = self.rtnl.send(requests).map_err(system("add addresses"))?;
        let mut changed = 0;
        for (address, answer) in about.zip(answers) {
            match answer {
                Ok(()) => changed += 1,
                Err(error) if error.raw_os_error() == Some(EEXIST) => {}
                Err(error) => {
                    refused.insert(address, format!("address {address}: {error}"));
                }
            }
        }
        Ok(changed)
    }

    /// Removes; what is gone already is no error.
    pub(super) fn remove(&mut self, requests: &[Request]) -> Result<usize, KernelError> {
        let answers = self.rtnl.send(requests).map_err(system("remove"))?;
        let mut changed = 0;
        for answer in answers {
            match answer {
                Ok(()) => changed += 1,
                Err(error)
                    if [ENOENT, ESRCH, EADDRNOTAVAIL]
                        .contains(&error.raw_os_error().unwrap_or(0)) => {}
                Err(source) => {
                    return Err(KernelError::System {
                        action: "remove a route, rule, address or proxy",
                        source,
                    });
                }
            }
        }
        Ok(changed)
    }
}
