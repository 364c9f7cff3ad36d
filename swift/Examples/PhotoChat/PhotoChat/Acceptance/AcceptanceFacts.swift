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
    switch backend["correct"] {
    case .bool(true): check.outcome = .ok
    case .bool(false): (check.outcome, check.reason) = (.failed, failures(backend))
    default:
      (check.outcome, check.reason) = (.inconclusive, "the library does not say how the self-test went")
    }
    return check
  }

  /// What was wrong, of the checks that failed.
  private static func failures(_ backend: JSONValue) -> String {
    guard case .array(let checks) = backend["checks"] else { return "" }
    let failed = checks.compactMap { check -> String? in
      guard let failure = check["failure"]?.string else { return nil }
      return "\(check["operation"]?.string ?? "") \(check["storage"]?.string ?? "") \(failure)"
    }
    return failed.joined(separator: "; ")
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
