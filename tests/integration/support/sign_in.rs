//! A browser without a screen: it follows redirects, keeps cookies, and signs in where it is asked to.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::{Answer, Ask};

/// The cookies of one person's browser.
#[derive(Debug, Default, Clone)]
pub struct Browser {
    /// By the authority that set them.
    cookies: HashMap<String, HashMap<String, String>>,
}

impl Browser {
    /// One request, without following where it leads. Every name stands for this machine.
    pub async fn ask(&mut self, method: &str, url: &str, form: Option<&str>) -> Answer {
        let parsed = url::Url::parse(url).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], parsed.port_or_known_default().unwrap()));
        let authority = format!("{}:{}", parsed.host_str().unwrap(), address.port());
        let path = &parsed[url::Position::BeforePath..url::Position::AfterQuery];
        let mut ask =
            Ask::new(address, method, path).header("Host", &authority).header("Accept", "text/html");
        let cookies = self.cookies.entry(authority).or_default();
        if !cookies.is_empty() {
            let pairs: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            ask = ask.header("Cookie", &pairs.join("; "));
        }
        if let Some(form) = form {
            ask = ask.header("Content-Type", "application/x-www-form-urlencoded").body(form.to_owned());
        }
        let answer = ask.send().await;
        for cookie in answer.headers.get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            match value {
                "" => cookies.remove(name),
                _ => cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    /// Begins a sign-in of the keyless gateway at `start`; gives the address that it leads to.
    pub async fn begin(&mut self, start: &str) -> String {
        let answer = self.ask("POST", start, None).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        answer.header("location").unwrap().to_owned()
    }

    /// Signs in at the authorization server as `name`, and consents; gives the address that it leads back to.
    pub async fn sign_in(&mut self, authorization: &str, name: &str) -> String {
        let mut url = authorization.to_owned();
        for _ in 0..12 {
            if url.contains("/oauth/callback") || url.contains("/oauth/user/callback") {
                return url;
            }
            let mut answer = self.ask("GET", &url, None).await;
            if answer.status == 200 {
                let form = match answer.text().contains("name=\"login\"") {
                    true => format!("prompt=login&login={name}&password=any"),
                    false => "prompt=consent".to_owned(),
                };
                answer = self.ask("POST", &url, Some(&form)).await;
            }
            let location = answer.header("location").map(str::to_owned);
            let location = location.unwrap_or_else(|| panic!("{url}: {} {}", answer.status, answer.text()));
            url = url::Url::parse(&url).unwrap().join(&location).unwrap().into();
        }
        panic!("the sign-in goes round in circles: {url}");
    }

    /// Comes back to the gateway; gives its page.
    pub async fn come_back(&mut self, callback: &str) -> Answer {
        self.ask("GET", callback, None).await
    }
}
