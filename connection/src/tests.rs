use std::time::Duration;

use kube::Config;
use tokio::net::TcpListener;

/// A configuration for an API server at a port of this host.
fn at(port: u16) -> Config {
    let mut config = Config::new(format!("https://127.0.0.1:{port}").parse().unwrap());
    config.connect_timeout = Some(Duration::from_millis(200));
    config
}

#[tokio::test]
async fn who_accepts_a_connection_and_is_silent_cannot_be_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = super::connect(at(listener.local_addr().unwrap().port())).unwrap();
    let silent = async {
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await);
        }
    };
    let answer = async {
        tokio::select! {
            answer = client.apiserver_version() => answer,
            () = silent => unreachable!(),
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(60), answer).await;
    assert!(answer.expect("an end").is_err());
}
