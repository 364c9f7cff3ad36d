// Stands in for the part of Foundation that only Apple's platforms have.

import Foundation

extension URL {
  func startAccessingSecurityScopedResource() -> Bool { true }
  func stopAccessingSecurityScopedResource() {}
}
