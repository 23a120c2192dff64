//! Who answers ARP and neighbour solicitations for an address, one after another.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use sluice_e2e::LabError;

use crate::failure::Outcome;
use crate::stage::Stage;
use crate::traffic::outside;

/// Every answer to ARP and neighbour solicitations that the client hears, while
/// it forgets its neighbours five times a second and so asks all the time.
pub struct Answers {
    asking: Child,
    listening: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Answers {
    /// Listens for the answers for some addresses or prefixes.
    pub fn listen(stage: &Stage, places: &[&str]) -> Outcome<Self> {
        let flush: String = places
            .iter()
            .map(|place| {
                let family = if place.contains(':') { "-6" } else { "-4" };
                format!("ip {family} neigh flush to {place} dev eth0 nud reachable; ")
            })
            .collect();
        let script = format!(
            // What is being asked for is left alone: packets wait for it.
            "while sleep 0.2; do {flush} done"
        );
        let asking = spawn(stage, Command::new("sh").args(["-c", &script]), false)?;
        let mut tcpdump = Command::new("tcpdump");
        tcpdump.args(["-Z", "root", "-i", "eth0", "-n", "-e", "-l", "-U", "-tt"]);
        tcpdump.arg("arp[6:2] = 2 or (icmp6 and ip6[40] = 136)");
        let mut listening = spawn(stage, &mut tcpdump, true)?;
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        if let Some(out) = listening.stdout.take() {
            let lines = lines.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    lines
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(line);
                }
            });
        }
        Ok(Self {
            asking,
            listening,
            lines,
        })
    }

    /// Waits until each address was answered for.
    pub fn wait(&self, stage: &Stage, addresses: &[String]) -> Outcome {
        for address in addresses {
            stage.wait(&format!("an answer for {address}"), 5.0, || {
                !self.places(address).is_empty()
            })?;
        }
        Ok(())
    }

    /// The MACs that answered for an address one after another, each once as long
    /// as no other came in between, and how often each did.
    pub fn places(&self, address: &str) -> Vec<(String, u32)> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut places: Vec<(String, u32)> = Vec::new();
        let (reply, advert) = (
            format!("Reply {address} is-at"),
            format!("tgt is {address},"),
        );
        for line in lines
            .iter()
            .filter(|l| l.contains(&reply) || l.contains(&advert))
        {
            let mac = line.split(' ').nth(1).unwrap_or_default();
            match places.last_mut() {
                Some((last, count)) if last == mac => *count += 1,
                _ => places.push((mac.to_owned(), 1)),
            }
        }
        places
    }
}

fn spawn(stage: &Stage, command: &mut Command, heard: bool) -> Outcome<Child> {
    let out = if heard { Stdio::piped() } else { Stdio::null() };
    command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(Stdio::null());
    let client = outside("client");
    let child = stage.lab.within(&client, || {
        command.spawn().map_err(|source| LabError::Io {
            action: format!("start {command:?}"),
            source,
        })
    })?;
    Ok(child)
}

impl Drop for Answers {
    fn drop(&mut self) {
        for child in [&mut self.asking, &mut self.listening] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
