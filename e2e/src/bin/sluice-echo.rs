//! Entry point of the echo server and client.

fn main() -> std::process::ExitCode {
    sluice_e2e::echo::main()
}
