//! Entry point of the lab.

fn main() -> std::process::ExitCode {
    sluice_e2e::cli::main()
}
