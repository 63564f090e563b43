package dev.twinsync.devservices;

import java.io.IOException;
import java.net.ServerSocket;

/** Ports for processes that can't be asked which one they took. */
public final class Ports {

    private Ports() {}

    /** One that nobody listens on now. */
    public static int free() throws IOException {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        }
    }
}
