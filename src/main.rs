//! The `ueauth` command.

// groups come and go by the thousand; the system's allocator keeps what they leave behind
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[actix_web::main]
async fn main() -> std::process::ExitCode {
    ueauth::cli::run().await
}
