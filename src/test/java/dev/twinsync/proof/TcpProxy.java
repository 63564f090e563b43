package dev.twinsync.proof;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** Stands before a neighbour and does to its connections what networks do. What it does to each is counted. */
final class TcpProxy implements AutoCloseable {

    /** What befalls the connections, those that are open and those to come, until it is over. */
    enum Fault {
        NONE,
        /** Each is closed as soon as it is made. */
        CUT,
        /** Nothing passes in either direction, and nothing is closed. */
        BLACKHOLE,
        /** What the client says arrives; no answer does. */
        NO_ANSWERS,
        /** Some bytes at a time. */
        SLOW,
        /** Each piece comes late, each by another time. */
        LATENCY
    }

    private static final int SLOW_BYTES = 200;
    private static final int LATEST_MS = 120;

    private final ServerSocket server;
    private final int target;
    private final Random random;
    private final Set<Connection> open = ConcurrentHashMap.newKeySet();
    private final AtomicInteger hit = new AtomicInteger();
    private volatile Fault fault = Fault.NONE;
    private volatile boolean closed;
    private final CountDownLatch ending = new CountDownLatch(1);

    private final class Connection {
        private final Socket client;
        private final Socket neighbour;

        Connection(Socket client, Socket neighbour) {
            this.client = client;
            this.neighbour = neighbour;
        }

        void end(boolean reset) {
            for (Socket socket : new Socket[] {client, neighbour}) {
                try {
                    if (reset) {
                        // no farewell: the peer learns of it by a reset
                        socket.setSoLinger(true, 0);
                    }
                    socket.close();
                } catch (IOException e) {
                    // it has ended already
                }
            }
            open.remove(this);
        }
    }

    private TcpProxy(ServerSocket server, int target, long seed) {
        this.server = server;
        this.target = target;
        this.random = new Random(seed);
    }

    /** @param target port of the neighbour, on this machine; it need not be there yet */
    static TcpProxy before(int target, long seed) throws IOException {
        TcpProxy proxy = new TcpProxy(new ServerSocket(0, 200, InetAddress.getByName("127.0.0.1")), target, seed);
        thread(proxy::accept);
        return proxy;
    }

    private static void thread(Runnable run) {
        Thread thread = new Thread(run, "proxy");
        thread.setDaemon(true);
        thread.start();
    }

    int port() {
        return server.getLocalPort();
    }

    /** How many connections a fault has met so far; a stalled one counts for each piece that it held up. */
    int hit() {
        return hit.get();
    }

    synchronized void fault(Fault now) {
        fault = now;
        if (now == Fault.CUT) {
            open.forEach(connection -> {
                hit.incrementAndGet();
                connection.end(false);
            });
        }
        notifyAll();
    }

    /** Resets the connections that are open; new ones pass. */
    void reset() {
        open.forEach(connection -> {
            hit.incrementAndGet();
            connection.end(true);
        });
    }

    /** Tells the clients of all open connections that no more will come, while what they say still arrives. */
    void halfClose() {
        open.forEach(connection -> {
            try {
                connection.client.shutdownOutput();
                hit.incrementAndGet();
            } catch (IOException e) {
                // it has ended already
            }
        });
    }

    private void accept() {
        while (!closed) {
            try {
                Socket client = server.accept();
                if (fault == Fault.CUT) {
                    hit.incrementAndGet();
                    client.close();
                    continue;
                }
                thread(() -> connect(client));
            } catch (IOException e) {
                // closed, or this one connection failed
            }
        }
    }

    private void connect(Socket client) {
        Socket neighbour = new Socket();
        Connection connection = new Connection(client, neighbour);
        try {
            neighbour.connect(new InetSocketAddress("127.0.0.1", target), 2000);
            client.setTcpNoDelay(true);
            neighbour.setTcpNoDelay(true);
            open.add(connection);
            thread(() -> pump(connection, neighbour, client, true));
            pump(connection, client, neighbour, false);
        } catch (IOException e) {
            connection.end(true);
        }
    }

    private void pump(Connection connection, Socket from, Socket to, boolean answers) {
        byte[] piece = new byte[16 * 1024];
        try {
            InputStream in = from.getInputStream();
            OutputStream out = to.getOutputStream();
            for (int read = in.read(piece); read >= 0; read = in.read(piece)) {
                pass(out, piece, read, answers);
            }
            to.shutdownOutput();
            if (answers) {
                connection.end(false);
            }
        } catch (IOException e) {
            connection.end(true);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            connection.end(true);
        }
    }

    private void pass(OutputStream out, byte[] piece, int length, boolean answers)
            throws IOException, InterruptedException {
        if (fault != Fault.NONE) {
            hit.incrementAndGet();
        }
        if (swallows(answers)) {
            synchronized (this) {
                while (!closed && swallows(answers)) {
                    wait();
                }
            }
            // what was swallowed never arrives, nor does anything after it
            throw new IOException("swallowed");
        }
        if (fault == Fault.LATENCY) {
            int late;
            synchronized (random) {
                late = random.nextInt(LATEST_MS);
            }
            ending.await(late, TimeUnit.MILLISECONDS);
        }
        int at = 0;
        while (at < length) {
            boolean slow = fault == Fault.SLOW;
            int some = slow ? Math.min(SLOW_BYTES, length - at) : length - at;
            out.write(piece, at, some);
            out.flush();
            at += some;
            if (slow) {
                ending.await(10, TimeUnit.MILLISECONDS);
            }
        }
    }

    private boolean swallows(boolean answers) {
        return fault == Fault.BLACKHOLE || fault == Fault.NO_ANSWERS && answers;
    }

    @Override
    public void close() throws IOException {
        closed = true;
        ending.countDown();
        server.close();
        fault(Fault.NONE);
        open.forEach(connection -> connection.end(true));
    }
}
