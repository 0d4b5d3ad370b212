//! Codes in virtual time.

use std::sync::Arc;

use serde_json::json;
use totp_rs::{Builder, Secret};
use ueauth_actors::ManualClock;

use crate::accounts::Account;
use crate::app::{App, Parts};
use crate::settings::Settings;
use crate::totp::rules::{self, Verdict};

const NOW: i64 = 1_800_000_000_000;
const STEP: i64 = 30_000;
const QUARTER: i64 = 900_000;

struct Scene {
    app: App,
    clock: Arc<ManualClock>,
    account: Account,
    /// What the person's app has read from the code.
    authenticator: totp_rs::Totp,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::defaults().unwrap();
        settings.store.url = format!("sqlite:{}", folder.path().join("t.db").display()).into();
        let clock = Arc::new(ManualClock::new(NOW));
        let app = Parts::start(settings, Arc::clone(&clock) as _, None).await;
        let app = app.unwrap();
        let account: Account = serde_json::from_value(json!({
            "_id": "a1", "authGroup": "g1", "email": "a:b@x.test", "username": "ada", "password": "x", "verified": true,
        }))
        .unwrap();
        app.store.of::<Account>().insert(&account).await.unwrap();
        let new = rules::make(&app, "g1", "Shop: B", &account).await.unwrap();
        assert_eq!(
            new.uri,
            format!(
                "otpauth://totp/Shop%20%20B:a%20b%40x.test?secret={}&issuer=Shop%20%20B",
                new.base32
            )
        );
        let secret = Secret::try_from_base32(&new.base32).unwrap();
        let authenticator = Builder::new().with_secret(secret).build().unwrap();
        Self {
            app,
            clock,
            account,
            authenticator,
            _folder: folder,
        }
    }

    fn at(&self, ms: i64) {
        self.clock.set(ms);
    }

    fn code(&self, ms: i64) -> String {
        self.authenticator
            .generate(u64::try_from(ms / 1000).unwrap())
            .to_string()
    }

    /// A code that is right in none of the steps near that time.
    fn wrong(&self, ms: i64) -> String {
        let right: Vec<String> = (-1..=1).map(|n| self.code(ms + n * STEP)).collect();
        let candidates = (0..).map(|n| format!("{n:06}"));
        candidates.into_iter().find(|c| !right.contains(c)).unwrap()
    }

    async fn enter(&self, code: &str) -> Verdict {
        rules::check(&self.app, "g1", &self.account.id, code)
            .await
            .unwrap()
    }

    async fn has_mfa(&self) -> bool {
        let found = self.app.store.of::<Account>().get("a1").await.unwrap();
        found.unwrap().mfa_enabled()
    }
}

#[tokio::test]
async fn the_first_right_code_proves_the_secret() {
    let scene = Scene::set().await;
    assert_eq!(scene.enter(&scene.wrong(NOW)).await, Verdict::Wrong);
    assert!(!scene.has_mfa().await);
    assert_eq!(scene.enter(&scene.code(NOW)).await, Verdict::Right);
    assert!(scene.has_mfa().await);
    let stored = rules::find(&scene.app, "g1", "a1").await.unwrap().unwrap();
    assert!(stored.proven && stored.wrong == 0);
    let base32 = scene.authenticator.secret().to_base32();
    assert!(stored.secret.starts_with("s1.") && !stored.secret.contains(&base32));
}

#[tokio::test]
async fn neighbouring_steps_count_and_each_counts_once() {
    let scene = Scene::set().await;
    assert_eq!(
        scene.enter(&scene.code(NOW - 2 * STEP)).await,
        Verdict::Wrong
    );
    assert_eq!(
        scene.enter(&scene.code(NOW + 2 * STEP)).await,
        Verdict::Wrong
    );
    assert_eq!(scene.enter(&scene.code(NOW - STEP)).await, Verdict::Right);
    assert_eq!(scene.enter(&scene.code(NOW)).await, Verdict::Right);
    assert_eq!(scene.enter(&scene.code(NOW)).await, Verdict::Wrong, "used");
    assert_eq!(
        scene.enter(&scene.code(NOW - STEP)).await,
        Verdict::Wrong,
        "older"
    );
    assert_eq!(scene.enter(&scene.code(NOW + STEP)).await, Verdict::Right);
    let code = scene.code(NOW + 2 * STEP);
    scene.at(NOW + 2 * STEP);
    let (a, b) = tokio::join!(scene.enter(&code), scene.enter(&code));
    assert_eq!([a, b].iter().filter(|v| **v == Verdict::Right).count(), 1);
}

#[tokio::test]
async fn guesses_end_for_a_quarter_of_an_hour() {
    let scene = Scene::set().await;
    let wrong = scene.wrong(NOW);
    for _ in 0..4 {
        assert_eq!(scene.enter(&wrong).await, Verdict::Wrong);
    }
    assert_eq!(scene.enter(&wrong).await, Verdict::Refused(901));
    assert_eq!(
        scene.enter(&scene.code(NOW)).await,
        Verdict::Refused(901),
        "even the right one"
    );
    let later = NOW + QUARTER - 1000;
    scene.at(later);
    assert_eq!(scene.enter(&scene.code(later)).await, Verdict::Refused(2));
    let later = NOW + QUARTER;
    scene.at(later);
    assert_eq!(scene.enter(&scene.code(later)).await, Verdict::Right);
}

#[tokio::test]
async fn old_mistakes_are_forgotten() {
    let scene = Scene::set().await;
    for round in 0..3 {
        let now = NOW + round * QUARTER;
        scene.at(now);
        for _ in 0..4 {
            assert_eq!(scene.enter(&scene.wrong(now)).await, Verdict::Wrong);
        }
    }
}

#[tokio::test]
async fn a_locked_account_stays_without() {
    let scene = Scene::set().await;
    let accounts = scene.app.store.of::<Account>();
    let lock = |a: &mut Account| {
        a.user_locked = true;
        Ok::<_, crate::store::StoreError>(())
    };
    accounts.update("a1", lock).await.unwrap();
    scene.enter(&scene.code(NOW)).await;
    assert!(!scene.has_mfa().await);
}

/// Whoever copies a secret to another document gains nothing.
#[tokio::test]
async fn secrets_are_sealed_for_their_document() {
    let scene = Scene::set().await;
    let mut other = rules::find(&scene.app, "g1", "a1").await.unwrap().unwrap();
    other.id = "other".to_owned();
    other.account_id = "a2".to_owned();
    scene.app.store.of().insert(&other).await.unwrap();
    assert!(
        rules::check(&scene.app, "g1", "a2", &scene.code(NOW))
            .await
            .is_err()
    );
}
