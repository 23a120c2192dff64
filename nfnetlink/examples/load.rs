//! How long loading takes: a full replace of a map with 1,000, 10,000 and 100,000 elements,
//! then adding one element, deleting one, and dumping all.
//!
//! Run as root; it works in a network namespace of its own:
//! `cargo run --release -p nfnetlink --example load`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use nfnetlink::Socket;
use nfnetlink::nftables::{Batch, Element, Family, Field, Set, Table, TableContent};

const ROUNDS: u32 = 9;

fn main() -> Result<(), Box<dyn Error>> {
    // SAFETY: this thread is the only one, and only its network namespace changes.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET)? };
    println!("elements  build    replace  add one  delete one  dump     (ms, median of {ROUNDS})");
    for count in [1_000, 10_000, 100_000] {
        measure(count)?;
    }
    Ok(())
}

fn element(n: u32) -> Element {
    Element::map(
        Ipv4Addr::from(0x0a00_0000 + n),
        Ipv4Addr::from(0xc000_0000 + n),
    )
}

fn measure(count: u32) -> Result<(), Box<dyn Error>> {
    let mut socket = Socket::open()?;
    let mut content = TableContent::new(Table::new(Family::Inet, "load"));
    let table = content.table.id.clone();
    let map = Set::map("m", &[Field::IPV4_ADDR], &[Field::IPV4_ADDR]).with_size(count + 1);
    content.set(map, (0..count).map(element));
    let mut times: [Vec<Duration>; 5] = Default::default();
    for _ in 0..ROUNDS {
        let [build, replace, add, delete, dump] = &mut times;
        let start = Instant::now();
        let mut batch = Batch::new();
        batch.destroy_table(&table);
        batch.add_content(&content);
        build.push(start.elapsed());

        let generation = socket.generation()?;
        let start = Instant::now();
        socket.commit(&batch, Some(generation))?;
        replace.push(start.elapsed());

        let one = [element(count)];
        let mut batch = Batch::with_echo();
        batch.add_elements(&table, "m", &one);
        let start = Instant::now();
        socket.commit(&batch, Some(generation.next()))?;
        add.push(start.elapsed());

        let mut batch = Batch::with_echo();
        batch.delete_elements(&table, "m", &one);
        let start = Instant::now();
        socket.commit(&batch, Some(generation.next().next()))?;
        delete.push(start.elapsed());

        let start = Instant::now();
        let read = socket.dump_table(Family::Inet, "load")?.ok_or("gone")?;
        dump.push(start.elapsed());
        if read.content != content {
            return Err("the dump differs from what was written".into());
        }
    }
    let [build, replace, add, delete, dump] = times.map(median);
    println!("{count:>8}  {build:<7.3}  {replace:<7.3}  {add:<7.3}  {delete:<10.3}  {dump:<7.3}");
    Ok(())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    middle.as_secs_f64() * 1000.0
}
