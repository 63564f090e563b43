package dev.twinsync.console;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import jakarta.servlet.http.HttpSession;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import org.springframework.web.filter.OncePerRequestFilter;

/**
 * Ends sessions that nobody uses, and those that have gone on for too long. A page that refreshes itself is nobody: only
 * what a person opens or sends keeps a session.
 */
final class SessionEnd extends OncePerRequestFilter {

    static final String ENDED = SessionEnd.class.getName();

    static final String BEGAN = "session.began";
    static final String ACTED = "session.acted";

    private final Duration idle;
    private final Duration longest;

    SessionEnd(Duration idle, Duration longest) {
        this.idle = idle;
        this.longest = longest;
    }

    static void begin(HttpServletRequest request) {
        HttpSession session = request.getSession();
        session.setAttribute(BEGAN, Instant.now());
        session.setAttribute(ACTED, Instant.now());
    }

    @Override
    protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
            throws ServletException, IOException {
        HttpSession session = request.getSession(false);
        if (session != null && session.getAttribute(BEGAN) instanceof Instant began) {
            Instant now = Instant.now();
            Instant acted = (Instant) session.getAttribute(ACTED);
            if (now.isAfter(acted.plus(idle)) || now.isAfter(began.plus(longest))) {
                session.invalidate();
                request.setAttribute(ENDED, true);
            } else if (!("GET".equals(request.getMethod()) && request.getHeader("HX-Request") != null)) {
                session.setAttribute(ACTED, now);
            }
        }
        chain.doFilter(request, response);
    }
}
