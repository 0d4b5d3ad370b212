//! The `ueauth` command.

#[actix_web::main]
async fn main() -> std::process::ExitCode {
    ueauth::cli::run().await
}
