import CRmlx
import Dispatch

/// Where the process waits for all sessions that have no event yet, so that none of them holds a thread meanwhile.
final class Waker: @unchecked Sendable {
  private static let made = Locked<Waker?>(nil)

  /// The process's own. It is made when the first session is, and stays.
  static func shared() throws(RmlxError) -> Waker {
    try made.withLock { made in
      Result { () throws(RmlxError) in
        if let made { return made }
        let waker = try Waker()
        made = waker
        return waker
      }
    }.get()
  }

  /// May be used from any thread.
  private let pointer: OpaquePointer
  private let source: any DispatchSourceRead
  private let bells = Locked<[UInt64: Bell]>([:])

  private init() throws(RmlxError) {
    var made: OpaquePointer?
    try check { error in rmlx_waker_new(&made, error) }
    guard let made else { throw RmlxError(.panic, "no waker was made") }
    pointer = made
    let queue = DispatchQueue(label: "rmlx waker", qos: .userInitiated)
    source = DispatchSource.makeReadSource(fileDescriptor: rmlx_waker_fd(made), queue: queue)
    source.setEventHandler { [unowned self] in ring() }
    source.resume()
  }

  /// Rings the bell when the session has something to step.
  func watch(_ session: Handle, _ bell: Bell) throws(RmlxError) {
    bells.withLock { $0[bell.tag] = bell }
    try check { error in rmlx_session_set_waker(session.pointer, pointer, bell.tag, error) }
  }

  static func forget(_ bell: Bell) {
    made.withLock { $0 }?.bells.withLock { _ = $0.removeValue(forKey: bell.tag) }
  }

  private func ring() {
    var tags = [UInt64](repeating: 0, count: 64)
    var count = 0
    repeat {
      let status = rmlx_waker_take(pointer, &tags, tags.count, &count, nil)
      // There is no other failure than having no room.
      guard status == RMLX_OK else { return }
      let ready = tags[..<count]
      bells.withLock { bells in ready.compactMap { bells[$0] } }.forEach { $0.ring() }
    } while count == tags.count
  }
}

/// Rings when a session has something to step, or when there is nothing more to wait for.
final class Bell: Sendable {
  private struct State {
    var hasRung = false
    var listeners: [@Sendable () -> Void] = []
  }

  private let state = Locked(State())

  /// Of no other bell, as long as this one lives.
  var tag: UInt64 { UInt64(UInt(bitPattern: ObjectIdentifier(self))) }

  func ring() {
    let listeners = state.withLock { state in
      let listeners = state.listeners
      state = State(hasRung: listeners.isEmpty)
      return listeners
    }
    listeners.forEach { $0() }
  }

  /// To be called before a look at the session: what rings from here on is not missed.
  func still() {
    state.withLock { $0.hasRung = false }
  }

  /// Acts at the next ring, or at once if it has rung since it was stilled.
  func listen(_ act: @escaping @Sendable () -> Void) {
    let hasRung = state.withLock { state in
      if !state.hasRung { state.listeners.append(act) }
      return state.hasRung
    }
    if hasRung { act() }
  }
}
