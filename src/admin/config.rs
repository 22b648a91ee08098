use std::{fmt, io, net::SocketAddr, str::FromStr};

use hyperfake_predictor::{Error, Result};

use super::metrics::Names;

/// Where the page is served, and what it allows.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where.
    pub listen: Listen,
    /// What clients have to know, if they have to.
    pub token: Option<Token>,
    /// Whether clients may change something.
    pub admin: bool,
    /// Names of metrics beside our own.
    pub names: Vec<Names>,
}

/// Where the page is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere: then nothing is added up either.
    Off,
    /// On the first free port of [`DEFAULT_PORTS`], for this machine alone.
    Default,
    /// At `host:port`.
    At(String),
    /// At `host:port`, which others on the network may reach: then those without a token are shown
    /// metrics and no more.
    Metrics(String),
}

/// Where the page is served unless the command line says. The next port, 8999, is the registry's.
pub const DEFAULT_PORTS: std::ops::RangeInclusive<u16> = 8990..=8998;

impl Config {
    /// With these options.
    ///
    /// # Errors
    ///
    /// When nothing is served, and an option says how. The error names the option.
    pub fn new(
        listen: Listen,
        token: Option<Token>,
        admin: bool,
        names: Vec<Names>,
    ) -> Result<Self> {
        let given = [
            ("--admin", admin),
            ("--http-token", token.is_some()),
            ("--metrics-names", !names.is_empty()),
        ];
        let given = given.into_iter().find(|(_, is_given)| *is_given);
        if let (Listen::Off, Some((option, _))) = (&listen, given) {
            let message =
                "found it with --http off, with which nothing is served: leave one of them out";
            return Err(Error::invalid(message).at(option));
        }
        Ok(Self { listen, token, admin, names })
    }

    /// Whether at this address metrics are served and no more: others on the network can reach it, and
    /// need no token.
    #[must_use]
    pub fn is_metrics_alone(&self, address: SocketAddr) -> bool {
        matches!(self.listen, Listen::Metrics(_)) && self.token.is_none() && is_exposed(address)
    }

    /// Finds an address for the page, as `Listen::bind` does.
    ///
    /// # Errors
    ///
    /// Those of `Listen::bind`, and when changes are to be taken where metrics alone are served.
    pub fn bind<T>(
        &self,
        look_up: impl Fn(&str) -> Result<SocketAddr>,
        bind: impl Fn(SocketAddr) -> io::Result<T>,
    ) -> Result<Option<(T, Option<u16>)>> {
        let look_up = |text: &str| {
            let address = look_up(text)?;
            if self.admin && self.is_metrics_alone(address) {
                let message = format!(
                    "found {text}, which others on the network can reach and which shows metrics alone, \
                     with --admin: expected --http-token as well, or no --admin"
                );
                return Err(Error::invalid(message));
            }
            Ok(address)
        };
        self.listen.bind(self.token.as_ref(), look_up, bind)
    }
}

fn is_exposed(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

impl Listen {
    /// From `--http` and `--metrics-address`.
    ///
    /// # Errors
    ///
    /// When they say different things.
    pub fn new(http: Option<String>, former: Option<String>) -> Result<Self> {
        match (http, former) {
            (Some(http), Some(former)) if http != former => {
                let message =
                    format!("found {former}, but --http says {http}: leave one of them out");
                Err(Error::invalid(message).at("--metrics-address"))
            }
            (Some(at), _) | (None, Some(at)) if at == "off" => Ok(Self::Off),
            (Some(at), _) => Ok(Self::At(at)),
            (None, Some(at)) => Ok(Self::Metrics(at)),
            (None, None) => Ok(Self::Default),
        }
    }

    /// The host that was asked for.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Off | Self::Default => "localhost",
            Self::At(text) | Self::Metrics(text) => {
                let host = text.rsplit_once(':').map_or(text.as_str(), |(host, _)| host);
                host.trim_start_matches('[').trim_end_matches(']')
            }
        }
    }

    /// Finds an address for the page: with `bind` and, for a name, `look_up`. The second number is the
    /// port that was wanted and is taken, if there is one.
    ///
    /// # Errors
    ///
    /// When it cannot be had; when others on the network would reach it and need no token.
    fn bind<T>(
        &self,
        token: Option<&Token>,
        look_up: impl Fn(&str) -> Result<SocketAddr>,
        bind: impl Fn(SocketAddr) -> io::Result<T>,
    ) -> Result<Option<(T, Option<u16>)>> {
        let flag = match self {
            Self::Metrics(_) => "--metrics-address",
            _ => "--http",
        };
        let cannot = |address: SocketAddr, error: io::Error| {
            Error::unavailable(format!("cannot serve on {address}")).with_source(error).at(flag)
        };
        match self {
            Self::Off => Ok(None),
            Self::At(text) | Self::Metrics(text) => {
                let address = look_up(text).map_err(|error| error.at(flag))?;
                let is_page = matches!(self, Self::At(_));
                if is_page && token.is_none() && is_exposed(address) {
                    let message = format!(
                        "found {text}, which others on the network can reach: expected \
                         --http-token as well, or an address of this machine alone, such as \
                         127.0.0.1:{}",
                        address.port()
                    );
                    return Err(Error::invalid(message).at(flag));
                }
                let bound = bind(address).map_err(|error| cannot(address, error))?;
                Ok(Some((bound, None)))
            }
            Self::Default => {
                let first = *DEFAULT_PORTS.start();
                // When all are taken, the system chooses one.
                for port in DEFAULT_PORTS.chain([0]) {
                    match bind(SocketAddr::from(([127, 0, 0, 1], port))) {
                        Ok(bound) => return Ok(Some((bound, (port != first).then_some(first)))),
                        Err(error) if error.kind() == io::ErrorKind::AddrInUse && port != 0 => {}
                        Err(error) => {
                            return Err(cannot(SocketAddr::from(([127, 0, 0, 1], port)), error));
                        }
                    }
                }
                Ok(None)
            }
        }
    }
}

/// What a client has to know. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A shorter one could be guessed.
const LEAST_LENGTH: usize = 16;
const MOST_LENGTH: usize = 256;

impl Token {
    /// Whether a client knows it. How long this takes does not say how much of it was right.
    #[must_use]
    pub fn is(&self, found: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differences = own.iter().zip(found).fold(0, |sum, (own, found)| sum | (own ^ found));
        own.len() == found.len() && differences == 0
    }
}

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if !(LEAST_LENGTH..=MOST_LENGTH).contains(&text.len()) {
            return Err(format!(
                "found {} characters, expected {LEAST_LENGTH} to {MOST_LENGTH}",
                text.len()
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("found a space or a character that is not ASCII, expected none".into());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(at: &str, token: Option<&str>, taken: &[u16]) -> String {
        let token = token.map(|token| token.parse().unwrap());
        let look_up = |text: &str| text.parse().map_err(|_| Error::invalid("no address"));
        let bind = |address: SocketAddr| match taken.contains(&address.port()) {
            true => Err(io::ErrorKind::AddrInUse.into()),
            false => Ok(address),
        };
        let listen = match at {
            "off" => Listen::Off,
            "default" => Listen::Default,
            at => Listen::At(at.to_owned()),
        };
        match listen.bind(token.as_ref(), look_up, bind) {
            Ok(None) => "nowhere".into(),
            Ok(Some((address, None))) => address.to_string(),
            Ok(Some((address, Some(port)))) => format!("{address}, as {port} is taken"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_address_is_that_of_the_page_or_of_metrics() {
        let listen = |http: Option<&str>, former: Option<&str>| {
            Listen::new(http.map(Into::into), former.map(Into::into)).unwrap()
        };
        assert_eq!(listen(None, None), Listen::Default);
        assert_eq!(listen(None, Some("off")), Listen::Off);
        assert_eq!(listen(Some("off"), None), Listen::Off);
        assert_eq!(listen(Some("a:1"), Some("a:1")), Listen::At("a:1".into()));
        assert_eq!(listen(None, Some("a:1")), Listen::Metrics("a:1".into()));
    }

    #[test]
    fn the_default_port_moves_on_when_it_is_taken() {
        assert_eq!(bind("off", None, &[]), "nowhere");
        assert_eq!(bind("default", None, &[]), "127.0.0.1:8990");
        assert_eq!(bind("default", None, &[8990]), "127.0.0.1:8991, as 8990 is taken");
        let all: Vec<_> = DEFAULT_PORTS.collect();
        assert_eq!(bind("default", None, &all), "127.0.0.1:0, as 8990 is taken");
        let error = bind("127.0.0.1:7", None, &[7]);
        assert!(error.starts_with("--http: cannot serve on 127.0.0.1:7"), "{error}");
    }

    #[test]
    fn an_address_that_others_reach_needs_a_token() {
        let token = Some("0123456789abcdef");
        for address in ["0.0.0.0:8990", "[::]:8990", "192.0.2.7:8990", "[::ffff:10.0.0.1]:8990"] {
            let error = bind(address, None, &[]);
            assert!(
                error.starts_with(&format!("--http: found {address}, which others")),
                "{error}"
            );
            assert!(error.contains("expected --http-token"), "{error}");
            assert_eq!(
                bind(address, token, &[]),
                address.parse::<SocketAddr>().unwrap().to_string()
            );
        }
        for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(!bind(address, None, &[]).contains("token"), "{address}");
        }
    }

    #[test]
    fn an_option_that_would_do_nothing_is_refused() {
        let token: Token = "0123456789abcdef".parse().unwrap();
        let refused = |listen, token: Option<&Token>, admin, names: &[Names]| {
            let config = Config::new(listen, token.cloned(), admin, names.to_vec());
            let look_up = |text: &str| text.parse().map_err(|_| Error::invalid("no address"));
            let bound = config.and_then(|config| config.bind(look_up, Ok));
            bound.err().map(|error| error.to_string()).unwrap_or_default()
        };
        for (error, option) in [
            (refused(Listen::Off, None, true, &[]), "--admin"),
            (refused(Listen::Off, Some(&token), false, &[]), "--http-token"),
            (refused(Listen::Off, None, false, &[Names::Otel]), "--metrics-names"),
        ] {
            assert!(error.starts_with(&format!("{option}: found it with --http off")), "{error}");
        }
        let exposed = || Listen::Metrics("0.0.0.0:1".into());
        let error = refused(exposed(), None, true, &[]);
        assert!(error.starts_with("--metrics-address: found 0.0.0.0:1, which others"), "{error}");
        assert!(error.ends_with("expected --http-token as well, or no --admin"), "{error}");
        let local = || Listen::Metrics("127.0.0.1:1".into());
        for taken in [
            refused(exposed(), Some(&token), true, &[]),
            refused(exposed(), None, false, &[Names::Otel]),
            refused(local(), None, true, &[]),
            refused(Listen::Off, None, false, &[]),
        ] {
            assert_eq!(taken, "");
        }
    }

    #[test]
    fn a_token_is_compared_whole_and_never_shown() {
        let token: Token = "0123456789abcdef".parse().unwrap();
        assert!(token.is(b"0123456789abcdef"));
        for wrong in ["", "0123456789abcde", "0123456789abcdeg", "0123456789abcdef0"] {
            assert!(!token.is(wrong.as_bytes()), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "Token");
        for (text, expected) in [
            ("short", "found 5 characters, expected 16 to 256"),
            ("0123456789 abcdef", "found a space or a character that is not ASCII"),
            ("0123456789abcdef\u{e9}", "found a space or a character that is not ASCII"),
        ] {
            let error = text.parse::<Token>().unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
