//! Prints the rows of tables, and what changes: `watch REMOTES DATABASE TABLE...`

use std::process::ExitCode;

use ovsdb_client::client::Event;
use ovsdb_client::{Client, Config, Remote, TableMonitor};

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [remotes, database, tables @ ..] = words.as_slice() else {
        eprintln!("usage: watch REMOTES DATABASE TABLE...");
        return ExitCode::FAILURE;
    };
    let remotes = match Remote::list(remotes) {
        Ok(remotes) => remotes,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut config = Config::new(remotes, database);
    config.monitors = tables
        .iter()
        .map(|table| TableMonitor::whole(table))
        .collect();
    let client = Client::start(config);
    let mut watch = client.watch();
    while let Some(event) = watch.next().await {
        match event {
            Event::Status(status) => println!("{status:?}"),
            Event::Rows(changes) => {
                for (table, rows) in changes {
                    for uuid in rows {
                        let row = client.read(|replica| replica.row(&table, uuid).cloned());
                        println!("{table} {uuid}: {row:?}");
                    }
                }
            }
        }
    }
    ExitCode::SUCCESS
}
