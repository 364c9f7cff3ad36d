import Rmlx
import SwiftUI

@main
struct PhotoChatApp: App {
  @State private var chat = Chat()

  var body: some Scene {
    WindowGroup {
      NavigationStack {
        ChatView(chat: chat)
      }
    }
  }
}
