//! The page that makes a browser a device, and then is it. It needs scripts, as its key does.

use askama::Template;

use super::{Shell, filters};

#[derive(Clone, Debug, Template)]
#[template(path = "device_app.html")]
pub struct DeviceApp<'a> {
    pub shell: Shell<'a>,
    pub group: &'a str,
    /// What the group is called.
    pub name: &'a str,
    /// `/api/{ag}/devices`
    pub api_url: &'a str,
    /// `/{ag}/device-app`
    pub app_url: &'a str,
    /// The server's public key for pushes.
    pub push_key: &'a str,
}
