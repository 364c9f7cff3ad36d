import Foundation
import Observation
import Rmlx

/// A run of the checks, for a view to show.
@MainActor @Observable
final class Acceptance {
  private(set) var checks: [AcceptanceCheck] = []
  private(set) var report: AcceptanceReport?
  private(set) var files: [URL] = []
  private(set) var failure: String?
  private(set) var isRunning = false

  private var work: Task<Void, Never>?

  /// Runs every check on the snapshot in a folder that the user has chosen. `questions` is where `checks.json` is: the
  /// app has it in its bundle.
  func run(_ folder: URL, isContentCounted: Bool, questions: URL? = nil) {
    guard !isRunning else { return }
    guard let questions = questions ?? Bundle.main.url(forResource: "accept", withExtension: nil) else {
      failure = "the app has no folder of questions in it"
      return
    }
    (checks, report, files, failure, isRunning) = ([], nil, [], nil, true)
    let runner = AcceptanceRunner(checks: questions, snapshot: folder, isContentCounted: isContentCounted)
    work = Task {
      let isScoped = folder.startAccessingSecurityScopedResource()
      defer { if isScoped { folder.stopAccessingSecurityScopedResource() } }
      do {
        let report = try await runner.run { check in
          Task { @MainActor in self.checks.append(check) }
        }
        // What was told on the way arrives in no certain order.
        checks = report.checks
        files = try report.write(to: FileManager.default.temporaryDirectory)
        self.report = report
      } catch is CancellationError {
        failure = "stopped"
      } catch {
        failure = error.localizedDescription
      }
      isRunning = false
    }
  }

  /// Ends the run.
  func stop() {
    work?.cancel()
  }
}
