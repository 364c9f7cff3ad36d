//! JSON Schema's `format` of texts, as expressions of the whole text: bodies of terminals, between slashes.
//!
//! Dates and times have become patterns before. Each has only texts that the format's standard has, of usual lengths, and not
//! all of them: no quoted mailboxes, no paths without a host.

/// RFC 3339, appendix A
const DAYS: &str = "([0-9]{1,4}Y([0-9]{1,4}M([0-9]{1,4}D)?)?|[0-9]{1,4}M([0-9]{1,4}D)?|[0-9]{1,4}D)";
const HOURS: &str = "T([0-9]{1,4}H([0-9]{1,4}M([0-9]{1,4}S)?)?|[0-9]{1,4}M([0-9]{1,4}S)?|[0-9]{1,4}S)";
/// RFC 1123 §2.1
const LABEL: &str = "[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?";
/// RFC 5321 §4.1.2
const MAILBOX: &str = r"[A-Za-z0-9_+-]{1,32}(\.[A-Za-z0-9_+-]{1,32}){0,3}";
/// RFC 2673 §3.2
const BYTE: &str = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
/// RFC 4291 §2.2, where `H` is four digits at most
const IPV6: &str = "((H:){7}H|(H:){1,7}:|(H:){1,6}(:H)|(H:){1,5}(:H){1,2}|(H:){1,4}(:H){1,3}|(H:){1,3}(:H){1,4}|\
    (H:){1,2}(:H){1,5}|H:(:H){1,6}|:((:H){1,7}|:))";
/// RFC 9562 §4
const UUID: &str = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}";
/// RFC 3986 §3, around the host
const SCHEME: &str = r"[A-Za-z][A-Za-z0-9+.-]{0,15}:\/\/";
const PATH: &str =
    r"(:[0-9]{1,4})?(\/[A-Za-z0-9._~-]{0,64}){0,8}(\?[A-Za-z0-9._~=&-]{0,128})?(#[A-Za-z0-9._~-]{0,64})?";

/// The expression of a format that is held to; any other is a remark.
pub(super) fn of(name: &str) -> Option<String> {
    let hostname = [LABEL, r"(\.", LABEL, "){0,4}"].concat();
    Some(match name {
        "duration" => ["P(", DAYS, "(", HOURS, ")?|", HOURS, "|[0-9]{1,4}W)"].concat(),
        "hostname" => hostname,
        "email" => [MAILBOX, "@", &hostname].concat(),
        "ipv4" => ["(", BYTE, r"\.){3}", BYTE].concat(),
        "ipv6" => IPV6.replace('H', "[0-9A-Fa-f]{1,4}"),
        "uuid" => UUID.to_owned(),
        "uri" => [SCHEME, &hostname, PATH].concat(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use llguidance::derivre::Regex;

    use super::*;

    #[test]
    fn formats_have_their_texts_and_no_others() {
        for (format, right, wrong) in [
            ("duration", &["P1Y2M3D", "PT5M", "P1DT2H", "P4W"][..], &["P", "PT", "1D", "P1D2H"][..]),
            ("hostname", &["a.example-1.org", "x"], &["-a", "a-", "a..b", ""]),
            ("email", &["first.last+x@example.org"], &["@example.org", "a@", "a b@c"]),
            ("ipv4", &["0.0.0.0", "255.10.1.99"], &["256.1.1.1", "1.1.1", "01.1.1.1"]),
            (
                "ipv6",
                &["::", "::1", "fe80::1:2", "1:2:3:4:5:6:7:8", "1::"],
                &["1:2", ":::", "1::2::3", "12345::"],
            ),
            ("uuid", &["01234567-89ab-cdef-0123-456789ABCDEF"], &["01234567-89ab-cdef-0123-456789ABCDE"]),
            ("uri", &["https://example.org/a/b?c=d#e", "x://y"], &["example.org", "//y", "x:"]),
        ] {
            let mut expression = Regex::new(&of(format).unwrap()).unwrap();
            for text in right {
                assert!(expression.is_match(text), "{format}: {text}");
            }
            for text in wrong {
                assert!(!expression.is_match(text), "{format}: {text}");
            }
        }
        assert_eq!(of("int32"), None);
    }
}
