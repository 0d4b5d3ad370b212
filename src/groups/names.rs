//! Names no tenant may take, because they are paths or brands of the service.

const PROTECTED: &[&str] = &[
    "api",
    "css",
    "js",
    "fonts",
    "favicon.ico",
    "swagger",
    "swagger.json",
    "ueauth",
    "auth",
    "ue-auth",
    "uestreams",
    "ue-streams",
    "ue_auth",
    "ue_streams",
    "authenticate",
    "authorize",
    "oidc",
    "oauth",
    "oauth2",
    "group",
    "authgroup",
    "auth-group",
    "auth_group",
    "usergroup",
    "user-group",
    "user_group",
    "account",
    "logs",
    "client",
    "interaction",
    "health",
    "version",
    "groupcheck",
    "group-check",
    "group_check",
    "login",
    "logout",
    "access",
    "token",
    "reg",
    "registration",
    "certs",
    "session",
    "me",
    "device",
    "introspection",
    "operation",
    "core",
    "eos",
    "core-eos",
    "core_eos",
    "coreeos",
    "united_effects",
    "unitedeffects",
    "united-effects",
    "_united_effects_",
    "united_effects_",
    "_united_effects",
    "_unitedeffects_",
    "unitedeffects_",
    "_unitedeffects",
    "united_effect",
    "unitedeffect",
    "united-effect",
    "_united_effect_",
    "united_effect_",
    "_united_effect",
    "_unitedeffect_",
    "unitedeffect_",
    "_unitedeffect",
];

/// Collide with routes, so no new group may take them; stored ones keep working.
const RESERVED_FOR_NEW: &[&str] = &[
    "root",
    "plugins",
    "groups",
    "init",
    "ready-check",
    "assets",
    "metrics",
    "cleanapi.json",
    "oauth2-redirect.html",
];

/// Never a group id or alias, whatever the case.
pub fn is_protected(name: &str) -> bool {
    PROTECTED.iter().any(|p| p.eq_ignore_ascii_case(name))
}

/// Refused for groups made from now on.
pub fn is_reserved(name: &str) -> bool {
    is_protected(name)
        || RESERVED_FOR_NEW
            .iter()
            .any(|p| p.eq_ignore_ascii_case(name))
}
