import Foundation

#if canImport(UIKit) && !os(watchOS)
  import UIKit
#elseif canImport(AppKit)
  import AppKit
#endif

/// Keeps the library in step with the app: when the system is short of memory, memory that is only kept to be used again
/// is given back; when the app goes to the background, where iOS allows no work on the GPU, answers in the making are
/// stopped first.
///
/// Make one and keep it for as long as the app runs. It holds no session.
///
///     let lifecycle = AppLifecycle()
///     lifecycle.watch(session)
///
/// It listens to UIKit's notifications, or to AppKit's and to the system's memory pressure on a Mac. Elsewhere, call
/// ``memoryIsShort()`` and ``enteredBackground()`` yourself.
public final class AppLifecycle: Sendable {
  private struct Watched {
    weak var session: Session?
  }

  private let sessions = Locked<[Watched]>([])
  private let stopListening = Locked<[() -> Void]>([])

  /// Begins to listen.
  public init() {
    listen()
  }

  deinit {
    stopListening.withLock { stops in stops.forEach { $0() } }
  }

  /// Stops this session's answers when the app goes to the background.
  public func watch(_ session: Session) {
    sessions.withLock { sessions in
      sessions.removeAll { $0.session == nil }
      sessions.append(Watched(session: session))
    }
  }

  /// Gives memory that is only kept to be used again back to the system. Does not wait.
  public func memoryIsShort() {
    // There is nobody to tell of a failure, and nothing depends on it.
    sharedQueue.async { try? Memory.trim() }
  }

  /// Stops the answers of the watched sessions, and gives memory back. Does not wait.
  public func enteredBackground() {
    let watched = sessions.withLock { $0.compactMap(\.session) }
    watched.forEach { $0.cancel() }
    memoryIsShort()
  }

  #if canImport(UIKit) && !os(watchOS)
    private func listen() {
      on(UIApplication.didReceiveMemoryWarningNotification) { $0.memoryIsShort() }
      on(UIApplication.didEnterBackgroundNotification) { $0.enteredBackground() }
    }
  #elseif canImport(AppKit)
    private func listen() {
      on(NSApplication.willTerminateNotification) { $0.enteredBackground() }
      let pressure = DispatchSource.makeMemoryPressureSource(eventMask: [.warning, .critical], queue: sharedQueue)
      pressure.setEventHandler { [weak self] in self?.memoryIsShort() }
      pressure.activate()
      stopListening.withLock { $0.append { pressure.cancel() } }
    }
  #else
    private func listen() {}
  #endif

  #if canImport(UIKit) || canImport(AppKit)
    private func on(_ name: Notification.Name, _ act: @escaping @Sendable (AppLifecycle) -> Void) {
      let observer = NotificationCenter.default.addObserver(forName: name, object: nil, queue: nil) { [weak self] _ in
        if let self { act(self) }
      }
      stopListening.withLock { $0.append { NotificationCenter.default.removeObserver(observer) } }
    }
  #endif
}
