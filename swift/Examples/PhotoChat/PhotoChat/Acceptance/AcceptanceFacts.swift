import Foundation
import Rmlx

/// What the library says about back end and snapshot.
enum AcceptanceFacts {
  /// Members on which what is told without loading and what was loaded have to agree.
  private static let facts = [
    "architecture", "model_type", "modalities", "quantization", "bytes", "tensors", "parameters", "layers",
    "vocab_size",
  ]

  /// The back end's own test, as the library tells it.
  static func selfTest(_ probe: Result<JSONValue, RmlxError>, _ info: ModelInfo) -> AcceptanceCheck {
    var check = AcceptanceCheck(id: "self-test", name: "self-test of the back end")
    guard let backend = (try? probe.get())?["backend"] ?? info.json["backend"], backend != .null else {
      (check.outcome, check.reason) = (.notApplicable, "this version of the library tells nothing of its back end")
      return check
    }
    check.numbers["backend"] = backend
    (check.outcome, check.reason) = verdict(of: said(backend))
    return check
  }

  private static func said(_ value: JSONValue) -> JSONValue? {
    let names = ["verdict", "self_test", "outcome", "status", "ok", "passed"]
    let found = names.lazy.compactMap { value[$0] }.first { $0 != .null }
    return found?.object == nil ? found : found.flatMap(said)
  }

  private static func verdict(of said: JSONValue?) -> (AcceptanceCheck.Outcome, String) {
    switch said {
    case .bool(true): (.ok, "")
    case .bool(false): (.failed, "the self-test failed")
    case .string(let word) where ["ok", "passed"].contains(word.lowercased()): (.ok, "")
    case .string(let word) where word.lowercased().contains("not"): (.inconclusive, "the self-test: \(word)")
    case .string(let word): (.failed, "the self-test: \(word)")
    default: (.inconclusive, "the library's JSON does not say how the self-test went")
    }
  }

  static func inspect(_ told: Result<ModelInfo, RmlxError>, _ loaded: ModelInfo) -> AcceptanceCheck {
    var check = AcceptanceCheck(id: "inspect", name: "what is told without loading agrees with what was loaded")
    switch told {
    case .failure(let error): (check.outcome, check.reason) = (.failed, error.message)
    case .success(let told):
      check.numbers["told"] = told.json
      var faults = facts.filter { told.json[$0] != loaded.json[$0] }
      // On the CPU all that is not packed is held in 32 bits.
      let most = loaded.json["device"]?.string == "cpu" ? 2.1 : 1.1
      let share = (loaded.json["loaded_bytes"]?.number ?? 0) / max(Double(told.bytes), 1)
      check.numbers["bytes_loaded_of_told"] = .number(share)
      if !(0.9...most).contains(share) { faults.append("loaded_bytes") }
      if !faults.isEmpty {
        (check.outcome, check.reason) = (.failed, "these differ: \(faults.joined(separator: ", "))")
      }
    }
    return check
  }

  static func probe(_ probe: Result<JSONValue, RmlxError>, _ isContentCounted: Bool) -> AcceptanceCheck {
    var check = AcceptanceCheck(id: "probe", name: "rmlx_probe")
    switch probe {
    case .failure(let error): (check.outcome, check.reason) = (.failed, error.message)
    case .success(let value):
      check.numbers["probe"] = value
      let verdict = value["verdict"]?.string ?? ""
      if verdict == "Ok", value["image_changes_logits"]?.bool == false {
        (check.outcome, check.reason) = (.failed, "a picture does not change the logits")
      } else if verdict != "Ok" {
        // Random weights loop.
        let excused = verdict == "Inconclusive" || (verdict == "BrokenLoop" && !isContentCounted)
        (check.outcome, check.reason) = (excused ? .inconclusive : .failed, "the verdict is \(verdict)")
      }
    }
    return check
  }
}
