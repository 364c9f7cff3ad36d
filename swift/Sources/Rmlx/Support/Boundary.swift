import CRmlx
import Foundation

/// Runs a C call, which takes the place for its error, and throws what it reports.
func check(_ call: (UnsafeMutablePointer<OpaquePointer?>) -> rmlx_status) throws(RmlxError) {
  var error: OpaquePointer?
  let status = call(&error)
  if status != RMLX_OK {
    defer { rmlx_error_release(error) }
    throw RmlxError(status: status, error: error)
  }
}

/// A text of so many bytes, NULs included.
func string(_ text: UnsafePointer<CChar>?, size: Int) -> String {
  String(decoding: UnsafeRawBufferPointer(start: text, count: size), as: UTF8.self)
}

/// Reads all items of one of the C functions that follow the array protocol.
func readArray<Item>(
  zero: Item,
  _ read: (UnsafeMutablePointer<Item>?, Int, UnsafeMutablePointer<Int>, UnsafeMutablePointer<OpaquePointer?>) ->
    rmlx_status
) throws(RmlxError) -> [Item] {
  var count = 0
  try check { error in read(nil, 0, &count, error) }
  if count == 0 { return [] }
  var items = [Item](repeating: zero, count: count)
  try check { error in
    items.withUnsafeMutableBufferPointer { room in read(room.baseAddress, room.count, &count, error) }
  }
  return items
}

/// Hands the text's UTF-8 bytes to the call.
func withUTF8<Result>(_ text: String, _ call: (UnsafePointer<CChar>?, Int) -> Result) -> Result {
  var text = text
  return text.withUTF8 { bytes in
    // Of no bytes there may be no address, and C wants one.
    guard let start = bytes.baseAddress else { return "".withCString { call($0, 0) } }
    return start.withMemoryRebound(to: CChar.self, capacity: bytes.count) { call($0, bytes.count) }
  }
}

/// A value that threads take turns at.
final class Locked<Value>: @unchecked Sendable {
  private let lock = NSLock()
  private var value: Value

  init(_ value: Value) {
    self.value = value
  }

  func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
    lock.lock()
    defer { lock.unlock() }
    return body(&value)
  }
}

/// Owns one reference to an object of the library.
///
/// The object itself may be used from any thread.
final class Handle: @unchecked Sendable {
  let pointer: OpaquePointer
  private let release: @Sendable (OpaquePointer?) -> Void

  init(_ pointer: OpaquePointer, release: @escaping @Sendable (OpaquePointer?) -> Void) {
    self.pointer = pointer
    self.release = release
    Handle.live.withLock { $0 += 1 }
  }

  deinit {
    release(pointer)
    Handle.live.withLock { $0 -= 1 }
  }

  /// How many there are, for tests that nothing is left behind.
  static let live = Locked(0)
}

/// Runs work that may block on a thread of its own, and waits for it without holding one of Swift's.
func offPool<Value: Sendable>(
  _ queue: DispatchQueue,
  _ work: @escaping @Sendable () throws(RmlxError) -> Value
) async throws(RmlxError) -> Value {
  let result: Result<Value, RmlxError> = await withCheckedContinuation { continuation in
    queue.async {
      continuation.resume(returning: Result(catching: work))
    }
  }
  return try result.get()
}

/// For work that belongs to no session.
let sharedQueue = DispatchQueue(label: "rmlx", qos: .userInitiated, attributes: .concurrent)
