//! Where values come from, and how they are laid over each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, File, FileFormat, Source, Value, ValueKind};

use super::Settings;

const DEFAULTS: &str = include_str!("../../config/default.toml");
const PREFIX: &str = "UEAUTH_";

/// Names from earlier deployments, as environment variables and as keys of their flat JSON files.
const ALIASES: &[(&str, &str)] = &[
    ("NODE_ENV", "server.environment"),
    ("PORT", "server.listen"),
    ("PROTOCOL", "server.protocol"),
    ("MONGO", "store.url"),
    ("SWAGGER", "server.public_host"),
    ("UI_URL", "ui.host"),
    ("UI_LOGIN_REDIRECT_PATH", "ui.login_path"),
    ("UI_LOGOUT_REDIRECT_PATH", "ui.logout_path"),
    ("UI_REFRESH_REDIRECT_PATH", "ui.refresh_path"),
    ("ROOT_GROUP_REGISTRATION_UI_URL", "ui.registration_url"),
    ("PERSIST_HTTP_ERRORS", "logging.persist_http_errors"),
    ("WRITE_LOGS_TO_DB", "logging.persist"),
    ("SINGLE_USE_IAT", "security.single_use_iat"),
    ("GROUP_SECURE_EXPIRES", "groups.activation_seconds"),
    ("COOKIE_KEYS", "security.cookie_keys"),
    ("ALLOW_ROOT_CREATION", "bootstrap.allow_root_creation"),
    (
        "ONE_TIME_PERSONAL_ROOT_CREATION_KEY",
        "bootstrap.setup_code",
    ),
    ("ROOT_EMAIL", "bootstrap.root_email"),
    ("FULL_SUPER_CONTROL", "security.root_full_control"),
    ("OPEN_GROUP_REG", "groups.open_registration"),
    ("ROOT_COMPANY_NAME", "bootstrap.company_name"),
    ("INIT_ROOT_PRIMARY_DOMAIN", "bootstrap.primary_domain"),
    ("INIT_ROOT_PRIMARY_TOS", "bootstrap.terms_url"),
    ("INIT_ROOT_PRIMARY_POLICY", "bootstrap.privacy_url"),
    ("PLATFORM_NAME", "bootstrap.platform_name"),
    ("UI_WHITE_LIST", "ui.allowed_hosts"),
    ("UI_CORE_AUDIENCE_ORIGIN", "ui.audience_origin"),
    ("UI_PKCE_REQUIRED", "ui.pkce_required"),
    ("CORE_SCOPES", "scopes.core"),
    ("RESTRICTED_SCOPES", "scopes.restricted"),
    ("STATIC_ASSETS", "ui.assets_url"),
    ("CUSTOM_FONTS_URL", "ui.custom_fonts_url"),
    ("DEFAULT_UI_SKIN_GRADIENT_LOW", "ui.gradient_low"),
    ("DEFAULT_UI_SKIN_GRADIENT_HIGH", "ui.gradient_high"),
    ("ACCESS_OBJECT_SIZE_LIMIT", "limits.access_object_bytes"),
    ("EVENT_EMITTER_CLEAN_SENSITIVE", "events.clean_sensitive"),
    ("CUSTOM_DOMAIN_PROXY_HEADER", "server.proxy_host_header"),
    ("SECURITY_FRAME_ANCESTORS", "security.frame_ancestors"),
    ("DISABLE_STREAMS", "events.disabled"),
    ("INIT_AG_WITH_STREAMS", "groups.external_streaming"),
];

/// Why the settings can not be used. Values are quoted only where they can not be secret.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{what} {path} can not be read ({source}); check the path and its permissions")]
    Read {
        what: String,
        path: String,
        source: std::io::Error,
    },
    #[error("the settings file {path} is not valid {format}: {reason}")]
    Syntax {
        path: String,
        format: &'static str,
        reason: String,
    },
    #[error(
        "the settings file {path} has an unknown setting `{setting}`; config/default.toml lists all of them"
    )]
    UnknownKey { path: String, setting: String },
    #[error("there is no setting `{setting}`; config/default.toml lists all of them")]
    UnknownFlag { setting: String },
    #[error("both {first} and {second} are set; remove one of them")]
    Conflict { first: String, second: String },
    #[error("the setting `{setting}` (from {origin}) can not be used: {reason}")]
    Invalid {
        setting: String,
        origin: String,
        reason: String,
    },
    #[error("the compiled-in settings are damaged: {0}")]
    Defaults(String),
}

/// The three layers above the compiled-in defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The settings file; when absent, the variable `UEAUTH_CONFIG` may name one.
    pub file: Option<PathBuf>,
    /// The process environment.
    pub environment: BTreeMap<String, String>,
    /// Values by dotted setting name, from the command line.
    pub flags: BTreeMap<String, String>,
}

impl Sources {
    /// Takes a copy of the process environment. Variables that are not Unicode are left out.
    pub fn from_process(file: Option<PathBuf>, flags: BTreeMap<String, String>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            file,
            environment,
            flags,
        }
    }

    pub(super) fn merge(&self) -> Result<Merged, SettingsError> {
        let mut merged = Merged::new()?;
        let named = self
            .environment
            .get("UEAUTH_CONFIG")
            .filter(|path| !path.is_empty());
        if let Some(path) = self.file.as_deref().or(named.map(Path::new)) {
            merged.add_file(path)?;
        }
        merged.add_environment(&self.environment)?;
        for (setting, value) in &self.flags {
            if !merged.kinds.contains_key(setting) {
                return Err(SettingsError::UnknownFlag {
                    setting: setting.clone(),
                });
            }
            merged.set_text(setting, value, "the command line")?;
        }
        Ok(merged)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Flag,
    Integer,
    List,
}

/// The values that differ from the defaults, with their origins.
pub(super) struct Merged {
    kinds: BTreeMap<String, Kind>,
    values: BTreeMap<String, (Value, String)>,
    pub(super) unknown: Vec<String>,
}

impl Merged {
    fn new() -> Result<Self, SettingsError> {
        let damaged = |e: ConfigError| SettingsError::Defaults(e.to_string());
        let table = File::from_str(DEFAULTS, FileFormat::Toml)
            .collect()
            .map_err(damaged)?;
        let mut leaves = Vec::new();
        flatten("", table, &mut leaves);
        let kind = |value: &Value| match value.kind {
            ValueKind::Boolean(_) => Kind::Flag,
            ValueKind::I64(_) => Kind::Integer,
            ValueKind::Array(_) => Kind::List,
            _ => Kind::Text,
        };
        let kinds = leaves
            .into_iter()
            .map(|(key, value)| (key, kind(&value)))
            .collect();
        Ok(Self {
            kinds,
            values: BTreeMap::new(),
            unknown: Vec::new(),
        })
    }

    fn add_file(&mut self, path: &Path) -> Result<(), SettingsError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read {
            what: "the settings file".to_owned(),
            path: name.clone(),
            source,
        })?;
        let json = path
            .extension()
            .is_some_and(|ext| ext.eq_ignore_ascii_case("json"));
        if !json {
            check_toml(&name, &text)?;
        }
        let format = if json {
            FileFormat::Json
        } else {
            FileFormat::Toml
        };
        let table = File::from_str(&text, format)
            .collect()
            .map_err(|e| SettingsError::Syntax {
                path: name.clone(),
                format: if json { "JSON" } else { "TOML" },
                reason: match e {
                    ConfigError::FileParse { cause, .. } => cause.to_string(),
                    _ => "the top level must be a table of sections".to_owned(),
                },
            })?;
        let upper = |key: &String| {
            key.bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        };
        let flat = json && !table.is_empty() && table.keys().all(upper);
        let origin = format!("the file {name}");
        if flat {
            for (key, value) in table {
                match ALIASES.iter().find(|(old, _)| *old == key) {
                    Some((_, setting)) => self.set_value(setting, value, &origin)?,
                    None => self.unknown.push(format!("{key} in {name}")),
                }
            }
            return Ok(());
        }
        let mut leaves = Vec::new();
        flatten("", table, &mut leaves);
        for (setting, value) in leaves {
            if !self.kinds.contains_key(&setting) {
                return Err(SettingsError::UnknownKey {
                    path: name,
                    setting,
                });
            }
            self.set_value(&setting, value, &origin)?;
        }
        Ok(())
    }

    fn add_environment(
        &mut self,
        environment: &BTreeMap<String, String>,
    ) -> Result<(), SettingsError> {
        for (old, setting) in ALIASES {
            self.set_variable(environment, old, setting)?;
        }
        let mut known = BTreeSet::new();
        let settings: Vec<String> = self.kinds.keys().cloned().collect();
        for setting in settings {
            let name = variable_name(&setting);
            self.set_variable(environment, &name, &setting)?;
            known.insert(format!("{name}_FILE"));
            known.insert(name);
        }
        let unknown = environment.keys().filter(|name| {
            name.starts_with(PREFIX) && name.contains("__") && !known.contains(*name)
        });
        self.unknown
            .extend(unknown.map(|name| format!("{name} in the environment")));
        Ok(())
    }

    fn set_variable(
        &mut self,
        environment: &BTreeMap<String, String>,
        name: &str,
        setting: &str,
    ) -> Result<(), SettingsError> {
        let file_name = format!("{name}_FILE");
        let given = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        match (given(name), given(&file_name)) {
            (None, None) => Ok(()),
            (Some(_), Some(_)) => Err(SettingsError::Conflict {
                first: name.to_owned(),
                second: file_name,
            }),
            (Some(value), None) => self.set_text(setting, value, &format!("the variable {name}")),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read {
                    what: format!("the file that {file_name} names,"),
                    path: path.clone(),
                    source,
                })?;
                // Secrets in files usually end with a line break that is not part of them.
                let value = text.trim_end_matches(['\r', '\n']);
                if value.is_empty() {
                    return Ok(());
                }
                self.set_text(setting, value, &format!("the variable {file_name}"))
            }
        }
    }

    fn set_text(&mut self, setting: &str, text: &str, origin: &str) -> Result<(), SettingsError> {
        self.set_value(setting, Value::from(text), origin)
    }

    fn set_value(
        &mut self,
        setting: &str,
        value: Value,
        origin: &str,
    ) -> Result<(), SettingsError> {
        let kind = self.kinds.get(setting).copied().unwrap_or(Kind::Text);
        if matches!(&value.kind, ValueKind::Nil)
            || matches!(&value.kind, ValueKind::String(t) if t.trim().is_empty())
        {
            return Ok(());
        }
        let value = coerce(kind, value).map_err(|reason| SettingsError::Invalid {
            setting: setting.to_owned(),
            origin: origin.to_owned(),
            reason: reason.to_owned(),
        })?;
        self.values
            .insert(setting.to_owned(), (value, origin.to_owned()));
        Ok(())
    }

    pub(super) fn deserialize(&self) -> Result<Settings, SettingsError> {
        let damaged = |e: ConfigError| SettingsError::Defaults(e.to_string());
        let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        for (setting, (value, _)) in &self.values {
            builder = builder
                .set_override(setting, value.clone())
                .map_err(damaged)?;
        }
        let config = builder.build().map_err(damaged)?;
        config
            .try_deserialize::<Settings>()
            .map_err(|e| self.explain(e))
    }

    /// Names the setting and where its value came from.
    fn explain(&self, error: ConfigError) -> SettingsError {
        let (key, reason) = match error {
            ConfigError::At {
                error,
                key: Some(key),
                ..
            } => (key, error.to_string()),
            ConfigError::Type {
                unexpected,
                expected,
                key: Some(key),
                ..
            } => (key, format!("it is {unexpected}, expected {expected}")),
            other => return SettingsError::Defaults(other.to_string()),
        };
        // Elements of a list are named `setting[0]`.
        let setting = key.split('[').next().unwrap_or(&key).to_owned();
        match self.values.get(&setting) {
            Some((_, origin)) => SettingsError::Invalid {
                setting: key,
                origin: origin.clone(),
                reason,
            },
            None => SettingsError::Defaults(format!("{key}: {reason}")),
        }
    }
}

/// The environment variable of a setting: `UEAUTH_SECTION__KEY`.
fn variable_name(setting: &str) -> String {
    format!(
        "{PREFIX}{}",
        setting.replace('.', "__").to_ascii_uppercase()
    )
}

fn flatten(prefix: &str, table: config::Map<String, Value>, leaves: &mut Vec<(String, Value)>) {
    for (key, value) in table {
        let name = if prefix.is_empty() {
            key
        } else {
            format!("{prefix}.{key}")
        };
        match value.kind {
            ValueKind::Table(inner) => flatten(&name, inner, leaves),
            _ => leaves.push((name, value)),
        }
    }
}

/// Turns texts into the kind the setting has. Never quotes the value: it may be secret.
fn coerce(kind: Kind, value: Value) -> Result<Value, &'static str> {
    const FLAG: &str = "it must be true, false, 1 or 0";
    const INTEGER: &str = "it must be a whole number of 0 or more";
    const TEXT: &str = "it must be a text";
    const LIST: &str = "it must be a list of texts (comma separated in the environment)";
    let text = |value: Value, wrong| match value.kind {
        ValueKind::String(text) => Ok(text),
        ValueKind::I64(_) | ValueKind::U64(_) | ValueKind::Float(_) | ValueKind::Boolean(_) => {
            value.into_string().map_err(|_| wrong)
        }
        _ => Err(wrong),
    };
    match kind {
        Kind::Text => text(value, TEXT).map(Value::from),
        Kind::Flag => match text(value, FLAG)?.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(Value::from(true)),
            "false" | "0" => Ok(Value::from(false)),
            _ => Err(FLAG),
        },
        Kind::Integer => match text(value, INTEGER)?.trim().parse::<i64>() {
            Ok(number) if number >= 0 => Ok(Value::from(number)),
            _ => Err(INTEGER),
        },
        Kind::List => {
            let elements = match value.kind {
                ValueKind::Array(elements) => elements
                    .into_iter()
                    .map(|e| text(e, LIST))
                    .collect::<Result<Vec<_>, _>>()?,
                ValueKind::String(list) if list.trim() == "none" => Vec::new(),
                ValueKind::String(list) => list.split(',').map(str::to_owned).collect(),
                _ => return Err(LIST),
            };
            let elements = elements.iter().map(|e| e.trim()).filter(|e| !e.is_empty());
            Ok(Value::from(elements.map(str::to_owned).collect::<Vec<_>>()))
        }
    }
}

/// Reports a syntax error by its place only: the library's own text quotes the line, and that line
/// may hold a secret.
fn check_toml(path: &str, text: &str) -> Result<(), SettingsError> {
    let Err(error) = toml::from_str::<toml::Table>(text) else {
        return Ok(());
    };
    let before = error
        .span()
        .and_then(|span| text.get(..span.start))
        .unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    Err(SettingsError::Syntax {
        path: path.to_owned(),
        format: "TOML",
        reason: format!("line {line}: {}", error.message()),
    })
}
