//! Databases that change their form.

use std::time::Duration;

use ovsdb_client::{Client, Config, Status, TableMonitor, UpdateError};
use serde_json::json;

use super::process::{DATABASE, Thing, alone, schema};

fn wider() -> serde_json::Value {
    let mut schema = schema();
    schema["version"] = json!("1.1.0");
    schema["tables"]["Thing"]["columns"]["more"] = json!({"type": "string"});
    schema
}

#[tokio::test]
async fn a_monitor_is_canceled_and_the_connection_stays() {
    let (server, _dir) = alone();
    let connection = server.connect().await;
    connection
        .set_db_change_aware(true)
        .await
        .expect("set_db_change_aware");
    let mut monitor = connection
        .monitor_cond(DATABASE, &[TableMonitor::whole("Thing")])
        .await
        .expect("a monitor");
    let other = server.connect().await;
    other.convert(DATABASE, wider()).await.expect("converted");
    assert_eq!(monitor.updates.next().await, Err(UpdateError::Canceled));
    let schema = connection.schema(DATABASE).await.expect("get_schema");
    assert_eq!(schema.version, "1.1.0");
}

#[tokio::test]
async fn a_client_goes_on_with_the_new_schema_and_all_rows() {
    let (server, _dir) = alone();
    let config = Config::new(vec![server.unix()], DATABASE).monitor(TableMonitor::whole("Thing"));
    let client = Client::start(config);
    client.synced().await;
    client
        .transact(&[Thing::named("kept").insert()])
        .await
        .expect("done");
    let other = server.connect().await;
    other.convert(DATABASE, wider()).await.expect("converted");
    let again = async {
        while !matches!(client.status(), Status::Synced { epoch: 2, .. }) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again)
        .await
        .expect("in time");
    assert_eq!(
        client.schema().map(|schema| schema.version.clone()),
        Some("1.1.0".into())
    );
    let rows = client.read(|replica| replica.all::<Thing>()).expect("rows");
    assert_eq!(rows.len(), 1);
    client
        .transact(&[Thing::named("new").insert()])
        .await
        .expect("done");
    assert_eq!(client.read(|replica| replica.len("Thing")), 2);
}
