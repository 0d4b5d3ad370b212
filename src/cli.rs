//! Commands: `serve`, `bootstrap`, `openapi`, `check`, `migrate`.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use ueauth_actors::{Clock, SystemClock};

use crate::app::{App, Parts, StartError};
use crate::demo;
use crate::serve;
use crate::settings::{Listen, Settings, Severity, Sources};
use crate::store::StoreError;
use crate::takeover::{self, CheckArgs, MigrateArgs, Outcome, TakeoverError};

#[derive(Debug, Parser)]
#[command(
    name = "ueauth",
    version,
    about = "Multi-tenant OpenID Connect provider and identity server"
)]
struct Cli {
    /// A settings file, TOML or JSON; see config/default.toml.
    #[arg(long, global = true, env = "UEAUTH_CONFIG")]
    config: Option<PathBuf>,
    /// One setting, for example `--set store.url=sqlite:./data/other.db`.
    #[arg(long = "set", global = true, value_name = "NAME=VALUE")]
    set: Vec<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve {
        /// Development mode: loopback only, demo data, readable logs.
        #[arg(long)]
        development: bool,
    },
    /// Create the root group and its owner, without HTTP.
    Bootstrap {
        /// The owner's e-mail address.
        #[arg(long)]
        email: String,
        /// File with the owner's password; without it one is made and printed.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Print the OpenAPI document.
    Openapi,
    /// Look for what stands in the way of running on an existing database; changes nothing.
    ///
    /// Ends with 0 if nothing does, 2 if something does, 1 if it could not look.
    Check(CheckArgs),
    /// Move a whole database to another engine, while no server runs on either.
    ///
    /// Ends with 0 if everything arrived, 2 if the move is refused or something differs, 1 if it
    /// could not run. After an interruption, the same command goes on.
    Migrate(MigrateArgs),
}

/// Exit code: it ran, and something stands in the way.
const HINDERED: u8 = 2;

pub async fn run() -> ExitCode {
    let cli = Cli::parse();
    match Box::pin(execute(cli)).await {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Hindered) => ExitCode::from(HINDERED),
        Err(e) => {
            say(&format!("ueauth: {}", chain(&e)), true);
            match e {
                CliError::Takeover(e) if e.is_hindrance() => ExitCode::from(HINDERED),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("`--set {0}` is not of the form NAME=VALUE")]
    Flag(String),
    #[error(transparent)]
    Settings(#[from] crate::settings::SettingsError),
    #[error("{0}")]
    Refused(String),
    #[error("the store cannot be reached; check the setting store.url and that the database runs")]
    Unreachable(#[source] crate::store::Source),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Serve(#[from] serve::ServeError),
    #[error("{0}")]
    Api(#[from] crate::http::ApiError),
    #[error(transparent)]
    Takeover(#[from] TakeoverError),
    #[error(transparent)]
    Document(#[from] crate::openapi::DocumentError),
    #[error("could not read or print")]
    Print(#[from] std::io::Error),
}

/// An error with its causes on one line.
fn chain(e: &dyn std::error::Error) -> String {
    let mut out = e.to_string();
    let mut next = e.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !out.contains(&text) {
            out.push_str(": ");
            out.push_str(&text);
        }
        next = cause.source();
    }
    out
}

/// To the person at the terminal, not to the log.
pub fn say(text: &str, problem: bool) {
    // a closed terminal is no reason to stop
    let _ = if problem {
        writeln!(std::io::stderr(), "{text}")
    } else {
        writeln!(std::io::stdout(), "{text}")
    };
}

async fn execute(cli: Cli) -> Result<Outcome, CliError> {
    let mut flags = BTreeMap::new();
    for flag in &cli.set {
        let (name, value) = flag
            .split_once('=')
            .ok_or_else(|| CliError::Flag(flag.clone()))?;
        flags.insert(name.to_owned(), value.to_owned());
    }
    match cli.command {
        Command::Serve { development } => {
            if development {
                for (name, value) in [
                    ("server.development", "true"),
                    ("server.environment", "development"),
                ] {
                    flags
                        .entry(name.to_owned())
                        .or_insert_with(|| value.to_owned());
                }
            }
            let mut sources = Sources::from_process(cli.config, flags);
            if development && !says_where_to_listen(&sources) {
                sources
                    .flags
                    .insert("server.listen".to_owned(), "127.0.0.1:3000".to_owned());
            }
            let settings = Settings::load(&sources)?;
            Box::pin(serve_command(settings)).await?;
        }
        Command::Bootstrap {
            email,
            password_file,
        } => {
            let settings = Settings::load(&Sources::from_process(cli.config, flags))?;
            bootstrap(settings, &email, password_file).await?;
        }
        Command::Openapi => {
            let settings = Settings::load(&Sources::from_process(cli.config, flags))?;
            let document = crate::openapi::document(&settings.origin(), None, false)?;
            serde_json::to_writer_pretty(std::io::stdout().lock(), &document)
                .map_err(std::io::Error::from)?;
            say("", false);
        }
        Command::Check(args) => {
            let address = match args.address {
                Some(address) => address,
                None => Settings::load(&Sources::from_process(cli.config, flags))?
                    .store
                    .url
                    .expose_secret()
                    .to_owned(),
            };
            return Ok(Box::pin(takeover::check(&address, args.json)).await?);
        }
        Command::Migrate(args) => return Ok(Box::pin(takeover::migrate(&args)).await?),
    }
    Ok(Outcome::Good)
}

/// Has anybody chosen an address? A file may have, so it counts as a choice.
fn says_where_to_listen(sources: &Sources) -> bool {
    sources.file.is_some()
        || sources.flags.contains_key("server.listen")
        || [
            "UEAUTH_SERVER__LISTEN",
            "UEAUTH_SERVER__LISTEN_FILE",
            "PORT",
        ]
        .iter()
        .any(|name| {
            sources
                .environment
                .get(*name)
                .is_some_and(|value| !value.is_empty())
        })
}

fn start_logging(settings: &Settings) {
    use tracing_subscriber::EnvFilter;
    let filter =
        EnvFilter::try_new(&settings.logging.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // a second start in one process keeps the first logger
    let _ = if settings.logs_json() {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.compact().try_init()
    };
}

async fn serve_command(settings: Settings) -> Result<(), CliError> {
    start_logging(&settings);
    check(&settings)?;
    let app = start(settings).await?;
    let development = app.settings.server.development;
    if development {
        if let Some(prepared) = Box::pin(demo::prepare(&app)).await? {
            say(&prepared.text(), false);
        }
    } else if let Some(code) = &app.setup_code {
        announce_setup(&app, code.expose_secret()).await?;
    }
    let announced = Arc::clone(&app);
    serve::run(app, move |addresses| {
        for address in addresses {
            say(
                &format!(
                    "listening on {address}, public address {}",
                    announced.settings.origin()
                ),
                false,
            );
        }
        if development {
            say(
                &format!(
                    "development mode: do not expose this server; try {}/demo",
                    announced.settings.origin()
                ),
                false,
            );
        }
    })
    .await?;
    Ok(())
}

fn check(settings: &Settings) -> Result<(), CliError> {
    for finding in settings.check() {
        match finding.severity {
            Severity::Error => return Err(CliError::Refused(finding.to_string())),
            Severity::Warning => tracing::warn!("{finding}"),
        }
    }
    if settings.server.development {
        let loopback = match &settings.server.listen {
            Listen::Unix(_) => true,
            Listen::Tcp { host, .. } => {
                host == "localhost"
                    || host
                        .parse::<std::net::IpAddr>()
                        .is_ok_and(|ip| ip.is_loopback())
            }
        };
        if !loopback {
            return Err(CliError::Refused(format!(
                "development mode only listens on this machine; set server.listen to 127.0.0.1:3000 (it is {})",
                settings.server.listen
            )));
        }
    }
    Ok(())
}

/// Opens the store, trying again for a while, and puts everything together.
async fn start(settings: Settings) -> Result<App, CliError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let until = clock.now() + i64::from(settings.store.patience_seconds) * 1000;
    let mut pause = Duration::from_millis(250);
    // until the root group exists, a code of this start's own stands in for a configured one
    let code = settings
        .bootstrap
        .setup_code
        .is_none()
        .then(|| SecretString::from(crate::secrets::Random::default().token43()));
    loop {
        match Parts::start(settings.clone(), Arc::clone(&clock), code.clone()).await {
            Ok(app) => return Ok(app),
            Err(StartError::Store(StoreError::Unavailable { source })) => {
                if clock.now() >= until {
                    return Err(CliError::Unreachable(source));
                }
                tracing::warn!(cause = %source, "the store cannot be reached (setting store.url); trying again in {} ms", pause.as_millis());
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(8));
            }
            Err(e) => return Err(e.into()),
        }
    }
}

/// Tells whoever started the server how to create the root group, while there is none.
async fn announce_setup(app: &App, code: &str) -> Result<(), CliError> {
    if demo::has_root(app).await? {
        return Ok(());
    }
    let email = app.settings.bootstrap.root_email.as_ref();
    let body = match email {
        Some(_) => format!(r#"{{"setupCode":"{code}","password":"<choose one>"}}"#),
        None => format!(r#"{{"setupCode":"{code}","email":"<yours>","password":"<choose one>"}}"#),
    };
    say(
        &format!(
            "\nThis store has no root group yet. Create it with this code, which works until it is used or the server stops:\n\n  curl -X POST {}/api/init -H 'content-type: application/json' -d '{body}'\n\nor stop the server and run: ueauth bootstrap --email <yours>\n",
            app.settings.origin()
        ),
        false,
    );
    Ok(())
}

async fn bootstrap(
    settings: Settings,
    email: &str,
    password_file: Option<PathBuf>,
) -> Result<(), CliError> {
    start_logging(&settings);
    if !crate::http::validate::is_email(email) {
        return Err(CliError::Refused(format!(
            "{email} is not an e-mail address"
        )));
    }
    let app = start(settings).await?;
    let (password, made) = match password_file {
        Some(file) => (
            SecretString::from(
                std::fs::read_to_string(file)?
                    .trim_end_matches(['\r', '\n'])
                    .to_owned(),
            ),
            false,
        ),
        None => (SecretString::from(app.random.password16()), true),
    };
    if demo::has_root(&app).await? {
        return Err(CliError::Refused(
            "the root group exists already".to_owned(),
        ));
    }
    let created =
        crate::groups::bootstrap::create_root(&app, email, password.expose_secret()).await?;
    let origin = app.settings.origin();
    let ready = &created.ready;
    say(
        &format!("root group     {origin}/root   (id {})", ready.group.id),
        false,
    );
    say(&format!("owner          {email}"), false);
    if made {
        say(
            &format!("password       {}   (shown once)", password.expose_secret()),
            false,
        );
    }
    say(&format!("client_id      {}", ready.client.id), false);
    if let Some(secret) = &ready.client.payload.client_secret {
        say(&format!("client_secret  {secret}   (shown once)"), false);
    }
    app.actors.stop();
    app.store.clone().close().await;
    Ok(())
}
