use super::*;
use crate::error::Code;

/// Bytes are their own ids; 256 ends a turn, 257 is `<call>`, 258 writes `true`, 259 nothing.
pub(super) fn compiler() -> Compiler {
    let bytes = (0..=255u8).map(|byte| TokenForm::Text(vec![byte]));
    let others = [
        TokenForm::Control("<end>".into()),
        TokenForm::Control("<call>".into()),
        TokenForm::Text(b"true".to_vec()),
        TokenForm::Nothing,
    ];
    let encode = |text: &str| {
        text.replace("true", "\u{1}").bytes().map(|b| if b == 1 { 258 } else { b.into() }).collect()
    };
    Compiler::new(Vocabulary {
        forms: bytes.chain(others).collect(),
        ends: vec![256],
        encode: Box::new(encode),
    })
    .unwrap()
}

fn constraint(kind: GrammarKind, text: &str) -> Constraint {
    compiler().compile(&Grammar { kind, text: text.into() }).unwrap()
}

fn allowed(constraint: &mut Constraint) -> Vec<usize> {
    let row = constraint.mask().unwrap().row();
    row.iter().enumerate().filter(|(_, v)| **v == 0.0).map(|(id, _)| id).collect()
}

fn ids(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

#[test]
fn the_end_is_allowed_exactly_where_the_text_may_end() {
    let mut c = constraint(GrammarKind::Regex, "ab?");
    assert_eq!(allowed(&mut c), [97]);
    assert!(!c.may_end());
    c.accept(&ids("a")).unwrap();
    assert_eq!(allowed(&mut c), [98, 256]);
    assert!(c.may_end() && !c.is_done());
    c.accept(&ids("b")).unwrap();
    assert!(c.is_done());
    assert_eq!(allowed(&mut c), [256]);
}

#[test]
fn what_is_forced_is_written_as_the_tokenizer_writes_it() {
    let mut c = constraint(GrammarKind::Choice, r#"["so true", "so false"]"#);
    assert_eq!(c.forced(), ids("so "));
    c.accept(&ids("so ")).unwrap();
    assert!(c.forced().is_empty());
    assert_eq!(allowed(&mut c), [102, 116, 258]);
    c.accept(&[258]).unwrap();
    assert!(c.is_done() && c.forced().is_empty());
}

#[test]
fn control_tokens_are_no_text_and_can_be_named() {
    let mut any = constraint(GrammarKind::Regex, "(?s:.)+");
    let row = any.mask().unwrap().row();
    assert!(row[usize::from(b'<')] == 0.0 && row[257] < 0.0 && row[256] < 0.0 && row[259] < 0.0);
    for named in ["start: <call> \"x\"", "start: <[257]> \"x\""] {
        let mut c = constraint(GrammarKind::Lark, named);
        assert_eq!(allowed(&mut c), [257], "{named}");
        c.accept(&[257, b'x'.into()]).unwrap();
        assert!(c.is_done());
    }
}

#[test]
fn a_fork_goes_its_own_way_and_tokens_can_be_taken_back() {
    let mut c = constraint(
        GrammarKind::JsonSchema,
        r#"{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": false}"#,
    );
    c.accept(&ids("{\"n\": 1")).unwrap();
    let mut other = c.fork();
    other.accept(&ids("2}")).unwrap();
    assert!(other.is_done() && !c.is_done());
    other.rollback(1).unwrap();
    other.accept(&ids("3}")).unwrap();
    c.accept(&ids("}")).unwrap();
    assert!(other.is_done() && c.is_done());
    assert!(c.fork().is_done());
}

#[test]
fn a_token_that_does_not_fit_is_an_error() {
    let mut c = constraint(GrammarKind::Regex, "[0-9]");
    assert_eq!(c.accept(&ids("x")).unwrap_err().code(), Code::InvalidArgument);
    assert!(!c.is_done());
}

#[test]
fn the_compiler_keeps_a_bounded_number() {
    let compiler = compiler();
    for n in 0..KEPT + 3 {
        compiler.compile(&Grammar { kind: GrammarKind::Regex, text: format!("a{n}") }).unwrap();
    }
    let first = Grammar { kind: GrammarKind::Regex, text: "a3".into() };
    compiler.compile(&first).unwrap();
    let kept = compiler.kept.lock().unwrap();
    assert_eq!((kept.len(), &kept.back().unwrap().0), (KEPT, &first));
}
