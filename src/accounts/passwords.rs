//! What a new password must look like, and which old ones may not come back.

use fancy_regex::{Regex, RegexBuilder};
use secrecy::SecretString;

use crate::accounts::model::PasswordHistory;
use crate::accounts::rules::of_account;
use crate::app::App;
use crate::groups::model::PasswordPolicy;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::secrets::Random;
use crate::store::{Order, Query, StoreError, any_of};

/// Longest password in characters; keeps custom expressions and hashing cheap.
pub const MAX_PASSWORD: usize = 512;
/// Longest custom expression in bytes.
const MAX_PATTERN: usize = 2048;
/// A custom expression that has not matched after so many steps back counts as not matching.
const BACKTRACKS: usize = 100_000;
const PROGRAM_BYTES: usize = 1 << 20;
/// How many old passwords are remembered.
const REMEMBERED: u64 = 30;
const GENERATED: usize = 16;

/// 417 unless the password follows the policy.
pub fn check(policy: &PasswordPolicy, password: &str) -> ApiResult<()> {
    if password.chars().count() > MAX_PASSWORD {
        return Err(ApiError::expectation_failed(format!(
            "Password must not have more than {MAX_PASSWORD} characters."
        )));
    }
    if !policy.enabled {
        return Ok(());
    }
    if let Some(custom) = custom(policy) {
        // an expression that gives up is one that the password does not follow
        return if custom.is_match(password).unwrap_or(false) {
            Ok(())
        } else {
            Err(ApiError::expectation_failed(
                "Password must follow the custom policy of this platform. Ask the administrator for its rules.",
            ))
        };
    }
    if follows_standard(policy, password) {
        Ok(())
    } else {
        Err(ApiError::expectation_failed(standard_message(policy)))
    }
}

/// Whether an expression can serve as the custom rule of a policy. JavaScript look-aheads and
/// back-references are understood.
pub fn compiles(pattern: &str) -> bool {
    compile(pattern).is_some()
}

fn compile(pattern: &str) -> Option<Regex> {
    if pattern.len() > MAX_PATTERN {
        return None;
    }
    RegexBuilder::new(pattern)
        .backtrack_limit(BACKTRACKS)
        .delegate_size_limit(PROGRAM_BYTES)
        .delegate_dfa_size_limit(PROGRAM_BYTES)
        .max_prog_size(PROGRAM_BYTES)
        .build()
        .ok()
}

fn custom(policy: &PasswordPolicy) -> Option<Regex> {
    policy
        .pattern
        .custom
        .as_deref()
        .filter(|p| !p.is_empty())
        .and_then(compile)
}

/// Characters the standard rules ask for, at most [`MAX_PASSWORD`].
fn shortest(policy: &PasswordPolicy) -> usize {
    let wanted = policy.pattern.characters.as_f64();
    if wanted.is_nan() || wanted <= 0.0 {
        return 0;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = wanted.ceil().min(100_000.0) as usize;
    whole.min(MAX_PASSWORD)
}

fn follows_standard(policy: &PasswordPolicy, password: &str) -> bool {
    let pattern = &policy.pattern;
    // length counts within one line, as `.{n,}` does
    let longest = password
        .split(['\n', '\r', '\u{2028}', '\u{2029}'])
        .map(|line| line.chars().count())
        .max()
        .unwrap_or(0);
    let has = |test: fn(char) -> bool| password.chars().any(test);
    longest >= shortest(policy)
        && has(|c| c.is_ascii_lowercase())
        && (!pattern.special || has(is_special))
        && (!pattern.number || has(|c| c.is_ascii_digit()))
        && (!pattern.caps || has(|c| c.is_ascii_uppercase()))
}

fn is_special(c: char) -> bool {
    !c.is_ascii_alphanumeric() && c != '_' && !c.is_whitespace() && c != '\u{feff}'
}

fn standard_message(policy: &PasswordPolicy) -> String {
    let pattern = &policy.pattern;
    let mut text = format!(
        "Password must follow this policy: At least {} characters",
        shortest(policy)
    );
    for (on, rule) in [
        (pattern.special, ", at least one special character"),
        (pattern.number, ", at least one number"),
        (pattern.caps, ", at least one capital letter"),
    ] {
        if on {
            text.push_str(rule);
        }
    }
    text.push('.');
    text
}

/// A random password of at least 16 characters with every kind of character in it.
///
/// It satisfies the standard rules always, and a custom expression unless that asks for something
/// no sensible password has; then it is merely strong.
pub fn generate(policy: &PasswordPolicy, random: &Random) -> String {
    let custom = policy.enabled.then(|| custom(policy)).flatten();
    let Some(custom) = custom else {
        return strong(random, GENERATED.max(shortest(policy)));
    };
    for length in [GENERATED, 32, 12, 10, 8, 64] {
        for dress in DRESSES {
            let candidate = dress(&strong(random, length));
            if custom.is_match(&candidate).unwrap_or(false) {
                return candidate;
            }
        }
    }
    strong(random, 32)
}

/// Ways to please an expression that does not like every special character.
const DRESSES: &[fn(&str) -> String] = &[
    str::to_owned,
    |p| p.replace(['-', '.', '~', '_'], "!"),
    |p| p.replace(['-', '.', '~', '_'], "@"),
    |p| p.replace(['-', '.', '~', '_'], "#"),
    |p| p.replace(['-', '.', '~'], "_"),
    |p| p.replace(['-', '.', '~', '_'], "x"),
];

fn strong(random: &Random, length: usize) -> String {
    let mut out = random.password16();
    while out.len() < length {
        out.push_str(&random.password16());
    }
    // a shorter one must have every kind of character too
    while out.len() > length {
        let mut kept = out.clone();
        kept.truncate(length);
        if length < 4 || has_all_kinds(&kept) {
            return kept;
        }
        out = random.password16();
        while out.len() < length {
            out.push_str(&random.password16());
        }
    }
    out
}

fn has_all_kinds(password: &str) -> bool {
    let has = |test: fn(char) -> bool| password.chars().any(test);
    has(|c| c.is_ascii_lowercase())
        && has(|c| c.is_ascii_uppercase())
        && has(|c| c.is_ascii_digit())
        && has(is_special)
}

fn newest_first(group: &str, account: &str) -> Query {
    Query::new(of_account(group, account)).sort("createdAt", Order::Descending)
}

/// 417 if the password is one of the newest 30 remembered ones. At most one hash at a time.
pub async fn refuse_repeat(app: &App, group: &str, account: &str, password: &str) -> ApiResult<()> {
    let old = app
        .store
        .of::<PasswordHistory>()
        .find(newest_first(group, account).limit(REMEMBERED))
        .await?;
    for entry in old {
        let secret = SecretString::from(password.to_owned());
        if app.hasher.verify(secret, &entry.value).await?.is_match() {
            return Err(ApiError::expectation_failed(
                "This password was used before and passwords may not be repeated. Choose another one.",
            ));
        }
    }
    Ok(())
}

/// Remembers the hash of a password that was just set, and forgets all but the newest 30.
pub async fn remember(app: &App, group: &str, account: &str, hash: &str) -> Result<(), StoreError> {
    let history = app.store.of::<PasswordHistory>();
    history
        .insert(&PasswordHistory {
            id: app.random.uuid(),
            created_at: app.date(),
            auth_group: group.to_owned(),
            account_id: account.to_owned(),
            value: hash.to_owned(),
            version: 0,
        })
        .await?;
    let surplus = history
        .find(newest_first(group, account).skip(REMEMBERED))
        .await?;
    if !surplus.is_empty() {
        history
            .delete_many(any_of("_id", surplus.into_iter().map(|e| e.id)))
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(edit: impl FnOnce(&mut PasswordPolicy)) -> PasswordPolicy {
        let mut out = PasswordPolicy::default();
        edit(&mut out);
        out
    }

    fn custom_policy(pattern: &str) -> PasswordPolicy {
        policy(|p| p.pattern.custom = Some(pattern.to_owned()))
    }

    #[test]
    fn standard_rules() {
        let all = policy(|p| {
            p.pattern.number = true;
            p.pattern.caps = true;
        });
        let default = PasswordPolicy::default();
        let off = policy(|p| p.enabled = false);
        let plain = policy(|p| p.pattern.special = false);
        for (policy, password, good) in [
            (&default, "abcde!", true),
            (&default, "abcd!", false),
            (&default, "abcdef", false),
            (&default, "abcdef_", false),
            (&default, "abcdef ", false),
            (&default, "ABCDE!", false),
            (&default, "abc!\nabc", false),
            (&default, "abcdeé", true),
            (&all, "abcde!", false),
            (&all, "abcde!1", false),
            (&all, "abcde!A", false),
            (&all, "abcde!A1", true),
            (&plain, "abcdef", true),
            (&plain, "ABCDEF", false),
            (&off, "x", true),
        ] {
            assert_eq!(check(policy, password).is_ok(), good, "{password:?}");
        }
        assert!(check(&off, &"x".repeat(MAX_PASSWORD)).is_ok());
        assert!(check(&off, &"x".repeat(MAX_PASSWORD + 1)).is_err());
    }

    #[test]
    fn the_message_lists_active_rules() {
        let error = check(&PasswordPolicy::default(), "abc").unwrap_err();
        assert_eq!(error.status.as_u16(), 417);
        assert_eq!(
            error.message,
            "Password must follow this policy: At least 6 characters, at least one special character."
        );
        let all = policy(|p| {
            p.pattern.characters = 9.into();
            p.pattern.special = false;
            p.pattern.number = true;
            p.pattern.caps = true;
        });
        assert_eq!(
            check(&all, "abc").unwrap_err().message,
            "Password must follow this policy: At least 9 characters, at least one number, at least one capital letter."
        );
    }

    #[test]
    fn custom_expressions_with_look_aheads_replace_the_standard_rules() {
        let p = custom_policy(r"^(?=.*[A-Z])(?=.*\d)(?!.*(.)\1\1)[A-Za-z\d@$!%*?&]{8,}$");
        assert!(check(&p, "ABCD1234").is_ok());
        assert!(check(&p, "abcd1234").is_err());
        assert!(check(&p, "AAAb1234").is_err());
        assert!(check(&custom_policy("b"), "abc").is_ok(), "not anchored");
        let broken = custom_policy("([");
        assert!(!compiles("(["));
        assert!(
            check(&broken, "ABCD").is_err(),
            "standard rules apply instead"
        );
        assert!(check(&broken, "abcde!").is_ok());
    }

    #[test]
    fn an_expression_that_explodes_refuses_instead_of_running_on() {
        let p = custom_policy(r"^(?=((a|a|a)*)+\1$)(a|aa)+(?!b)$");
        assert!(compiles(r"^(?=((a|a|a)*)+\1$)(a|aa)+(?!b)$"));
        assert!(check(&p, &format!("{}!", "a".repeat(400))).is_err());
    }

    #[test]
    fn generated_passwords_follow_the_policy_they_are_made_for() {
        let random = Random::default();
        let long = policy(|p| {
            p.pattern.characters = 40.into();
            p.pattern.number = true;
            p.pattern.caps = true;
        });
        let policies = [
            PasswordPolicy::default(),
            long,
            custom_policy(r"^(?=.*[a-z])(?=.*[A-Z])(?=.*\d)(?=.*[@$!%*?&])[A-Za-z\d@$!%*?&]{8,}$"),
            custom_policy(r"^[A-Za-z0-9]{8,12}$"),
            custom_policy(r"^.{20,}$"),
        ];
        for p in &policies {
            for _ in 0..50 {
                let made = generate(p, &random);
                assert!(check(p, &made).is_ok(), "{made} {:?}", p.pattern.custom);
            }
        }
        assert_eq!(generate(&PasswordPolicy::default(), &random).len(), 16);
    }
}
