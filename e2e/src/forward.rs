//! The way from the host to the API server: a port of 127.0.0.1 whose
//! connections go on inside the control plane's network namespace.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;

use crate::error::{Doing, Result};
use crate::families::API_PORT;
use crate::netns;

/// Starts forwarding from a free port, which it returns, for as long as the
/// process lives. `namespace` is where connections go on; it may come later.
///
/// # Errors
/// When no port of 127.0.0.1 can be had.
pub fn start(namespace: PathBuf) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").doing(|| "listen on 127.0.0.1".into())?;
    let port = listener
        .local_addr()
        .doing(|| "read the own port".into())?
        .port();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let namespace = namespace.clone();
            thread::spawn(move || forward(&near, &namespace));
        }
    });
    Ok(port)
}

/// Carries one connection until both sides are done. When the API server is
/// away the near side sees its connection closed, as if it had asked directly.
fn forward(near: &TcpStream, namespace: &Path) {
    let Ok(far) = netns::within(namespace, || {
        TcpStream::connect(("127.0.0.1", API_PORT)).doing(|| "reach the API server".into())
    }) else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    thread::scope(|scope| {
        scope.spawn(|| carry(near, &far));
        carry(&far, near);
    });
}

fn carry(mut from: &TcpStream, mut to: &TcpStream) {
    // An error ends the connection just like its end does.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
