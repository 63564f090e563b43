package dev.twinsync.devservices;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.InetAddress;
import java.net.ServerSocket;
import org.junit.jupiter.api.Test;

/** The embedded database, where somebody is in its place already. */
class PostgresTest {

    @Test
    void aPortThatIsTakenIsSaidAtOnceWithWhatToDo() throws Exception {
        try (ServerSocket somebody = new ServerSocket(0, 1, InetAddress.getByName("127.0.0.1"))) {
            assertThatThrownBy(() -> Postgres.start(somebody.getLocalPort()))
                    .hasMessageContaining(somebody.getLocalPort() + " is taken")
                    .hasMessageContaining("APP_DB_URL");
        }
    }
}
