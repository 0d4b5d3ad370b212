//! The threads actors live on.

use std::{io, sync::mpsc, thread};

use actix_rt::{Arbiter, ArbiterHandle, System};

use crate::Threads;

/// The arbiters of a registry; those of its own end with it.
pub(crate) struct Arbiters {
    handles: Vec<ArbiterHandle>,
    own: Option<System>,
}

impl Arbiters {
    pub(crate) fn start(threads: Threads) -> io::Result<Self> {
        match threads {
            Threads::Current => {
                let current = Arbiter::try_current()
                    .ok_or_else(|| io::Error::other("this thread runs no actors"))?;
                Ok(Self {
                    handles: vec![current],
                    own: None,
                })
            }
            Threads::Own(count) => Self::start_own(count.get()),
        }
    }

    fn start_own(count: usize) -> io::Result<Self> {
        let (sender, started) = mpsc::channel();
        // A system of its own, so that callers need not run inside one.
        thread::Builder::new()
            .name("ueauth-actors".to_owned())
            .spawn(move || {
                let runner = System::new();
                let handles: io::Result<Vec<_>> = (0..count)
                    .map(|_| Arbiter::try_new().map(|arbiter| arbiter.handle()))
                    .collect();
                let failed = handles.is_err();
                let started = handles.map(|handles| (handles, System::current()));
                if sender.send(started).is_err() || failed {
                    System::current().stop();
                }
                if let Err(error) = runner.run() {
                    tracing::error!(%error, "the actors' threads ended");
                }
            })?;
        let (handles, system) = started
            .recv()
            .map_err(|_| io::Error::other("the actors' threads did not start"))??;
        Ok(Self {
            handles,
            own: Some(system),
        })
    }

    /// The arbiter for this hash.
    pub(crate) fn pick(&self, hash: u64) -> Option<&ArbiterHandle> {
        let count = u64::try_from(self.handles.len()).ok()?;
        let at = usize::try_from(hash.checked_rem(count)?).ok()?;
        self.handles.get(at)
    }
}

impl Drop for Arbiters {
    fn drop(&mut self) {
        if let Some(system) = &self.own {
            system.stop();
        }
    }
}
